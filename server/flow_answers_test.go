package server_test

import (
	"log/slog"
	"testing"
	"time"

	"sipd/config"
	"sipd/internal/siptest/flow"
	"sipd/resolve"
	"sipd/server"
	"sipd/server/answers"
	"sipd/server/target"
	"sipd/store"
)

// flowAsker is who the server of a flow asks: by DNS as a server would, and in the place of Locator what the flow says. nil: nobody.
func flowAsker(f *flow.Flow, set *config.Settings, resolver *resolve.Resolver) server.Asker {
	if set.EnumRoot == "" && !f.Locator.Used {
		return nil
	}
	byDNS := *set
	byDNS.Locator = config.Locator{}
	a := &whereabouts{Sources: answers.New(resolver, slog.New(slog.DiscardHandler)), Locator: f.Locator}
	a.Follow(&byDNS)
	return a
}

// whereabouts answers as the locator lines of a flow say.
type whereabouts struct {
	*answers.Sources
	flow.Locator
}

// Ask is server.Asker.
func (a *whereabouts) Ask(q target.Question, done func([]target.Found)) ([]target.Found, bool) {
	if q.Kind != target.Locate {
		return a.Sources.Ask(q, done)
	}
	var found []target.Found
	for _, w := range a.Knows {
		if w.AOR == q.Subject && (w.Caller == "" || w.Caller == q.Caller) {
			found = append(found, target.Found{URI: w.URI, Q: w.Milli})
		}
	}
	switch a.Does {
	case "cached":
		return found, true
	case "silent":
		return nil, false
	case "fails":
		found = nil
	}
	time.AfterFunc(a.Delay, func() { done(found) })
	return nil, false
}

// TestLogOfACallThatWaited: the time for which an answer was waited is the call's, whatever becomes of it.
func TestLogOfACallThatWaited(t *testing.T) {
	for _, tt := range []struct {
		name, knows string
		status      int
		took        time.Duration
	}{
		{"proxied", "sip:bob@example.org", 200, 1500 * time.Millisecond},
		{"nobody knows", "", 480, time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			asker = &oracle{t: t, after: time.Second, knows: map[string]string{"carol@example.org": tt.knows}}
			defer func() { asker = nil }()
			var rows []store.LogRow
			head := "set Locator http://10.0.0.60/where\nuser carol\n" + bobAtHome
			onFaultyRig(t, head, func(row store.LogRow) { rows = append(rows, row) }, 0, func(r *rig) {
				alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
				begin := time.Now()
				r.send(alice, request("MESSAGE", "sip:carol@example.org", "1", ""))
				r.wait(time.Second)
				if tt.status == 200 {
					got := r.arrived(bob, "MESSAGE")[0]
					r.wait(500 * time.Millisecond)
					r.arrived(bob, "MESSAGE") // again
					r.send(bob, response(got, "200 OK", 2))
				}
				r.wait(time.Minute)
				if len(rows) != 1 || rows[0].Status != tt.status || !rows[0].Time.Equal(begin) || rows[0].Duration != tt.took {
					t.Errorf("got rows %+v, want one with %d that began at %v and took %v", rows, tt.status, begin, tt.took)
				}
			})
		})
	}
}
