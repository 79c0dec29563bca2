package server_test

import (
	"log/slog"
	"time"

	"sipd/config"
	"sipd/internal/siptest/flow"
	"sipd/resolve"
	"sipd/server"
	"sipd/server/answers"
	"sipd/server/target"
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
