package calltrace

import (
	"time"

	"sipd/server/target"
	"sipd/trace"
)

// Call is a call that is kept. Its names are those of `sipd explain --call --json` and of the page /calls.
type Call struct {
	Time       time.Time `json:"time"`
	CallID     string    `json:"call_id"`
	CSeq       uint32    `json:"cseq"`
	URI        string    `json:"request_uri"`
	From       string    `json:"from"`
	Source     string    `json:"source"`
	Transport  string    `json:"transport"`
	User       string    `json:"authenticated_as,omitempty"`
	Challenges uint32    `json:"challenges,omitempty"`      // that were answered before
	Repeated   uint32    `json:"retransmissions,omitempty"` // that were decided about anew
	Questions  uint32    `json:"questions,omitempty"`       // asked of ENUM or the locator
	Decision   string    `json:"decision"`
	Status     int       `json:"status,omitempty"` // of the decision
	Targets    []Target  `json:"targets,omitempty"`
	Fallback   []Target  `json:"redirect_on_failure,omitempty"`
	Trace      []Step    `json:"trace"`
	Events     []Event   `json:"events"`
	Final      int       `json:"final_status,omitempty"` // 0: none yet
	Cut        bool      `json:"cut,omitempty"`          // there was not room for all of it

	ref Ref
}

// Step is a reason.
type Step struct {
	Rule    string `json:"rule"`
	Subject string `json:"subject,omitempty"`
	Verdict string `json:"verdict"`
	Table   string `json:"table,omitempty"`
	Row     int64  `json:"row,omitempty"`
	Note    string `json:"note,omitempty"`
}

// Target is a member of the target set.
type Target struct {
	URI     string   `json:"uri"`
	User    string   `json:"user_key"`
	Q       float64  `json:"q"`
	Group   int      `json:"group"`
	After   float64  `json:"after_s,omitempty"` // how long the group before rings; 0: TimeOut
	Gateway int64    `json:"gateway,omitempty"` // the row of gateways
	Rule    int64    `json:"rule,omitempty"`    // the row of gatewaymap or dialplan
	Else    []Target `json:"else,omitempty"`    // the other gateways, tried in turn while they fail
}

// Event is something that happened after the decision.
type Event struct {
	After    float64 `json:"after_s"`
	What     string  `json:"what"` // branch, forward, recursion, cancel or final
	URI      string  `json:"uri,omitempty"`
	Address  string  `json:"address,omitempty"`
	Proto    string  `json:"transport,omitempty"`
	Status   int     `json:"status,omitempty"`
	Received bool    `json:"received,omitempty"` // else the status stands for silence, a failure of the transport, or our giving up
	Gateway  int64   `json:"gateway,omitempty"`
	Trace    []Step  `json:"trace,omitempty"`
}

// kinds are the names of decisions, as sipd explain has them.
var kinds = [...]string{target.Reject: "reject", target.Challenge: "challenge", target.Proxy: "proxy", target.Redirect: "redirect", target.Ask: "ask"}

// KindName is the name of a decision.
func KindName(k target.Kind) string {
	if int(k) >= len(kinds) {
		return "unknown"
	}
	return kinds[k]
}

// Steps are the reasons of a decision.
func Steps(tr *trace.Trace) []Step {
	list := []Step{}
	for i := range tr.Steps() {
		st := &tr.Steps()[i]
		list = append(list, Step{Rule: st.Rule, Subject: tr.Subject(st), Verdict: st.Verdict.String(), Table: st.Table, Row: st.Row, Note: st.Note})
	}
	return list
}

// Targets are the members of a target set.
func Targets(set []target.Target) []Target {
	list := make([]Target, len(set))
	for i := range set {
		x := &set[i]
		list[i] = Target{URI: uriOf(x), User: string(x.Owner.Key), Q: 1, Group: x.Group, After: x.Wait.Seconds(), Gateway: x.Gateway, Rule: x.Rule}
		if x.Binding != nil {
			list[i].Q = float64(x.Binding.Q) / 1000
		}
		for _, y := range Targets(x.Else) {
			y.Group = x.Group
			list[i].Else = append(list[i].Else, y)
		}
	}
	return list
}
