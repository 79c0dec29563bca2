package daemon

import (
	"time"

	"sipd/server/gateway"
)

// gatewayState is a gateway as the page and `sipd gateway list` show it.
type gatewayState struct {
	ID       int64      `json:"id"`
	Name     string     `json:"name"`
	URI      string     `json:"uri"`
	State    string     `json:"state"`            // up, degraded, down or drained
	Reason   string     `json:"reason,omitempty"` // none: nothing has happened since the start
	Since    time.Time  `json:"since"`
	Calls    int        `json:"calls"`                      // in progress, of those that began since the start
	MaxCalls int        `json:"max_calls,omitempty"`        // none: any number
	Probe    int        `json:"probe_s,omitempty"`          // none: it gets no OPTIONS
	Answered *time.Time `json:"probe_answer,omitempty"`     // the last answer to one
	Latency  float64    `json:"probe_latency_ms,omitempty"` // of that answer
}

func gatewayStates(list []gateway.Status) (states []gatewayState) {
	for _, g := range list {
		s := gatewayState{ID: g.ID, Name: g.Name, URI: g.URI, State: g.Condition.String(), Reason: g.Reason, Since: g.Since.UTC(), Calls: g.Calls,
			MaxCalls: g.MaxCalls, Probe: int(g.Probe / time.Second), Latency: float64(g.Latency.Microseconds()) / 1000}
		if !g.Answered.IsZero() {
			at := g.Answered.UTC()
			s.Answered = &at
		}
		states = append(states, s)
	}
	return states
}
