package explain

import (
	"slices"
	"time"

	"sipd/server/calltrace"
	"sipd/server/target"
	"sipd/trace"
)

// View is what would happen to a request.
type View struct {
	Decision string             `json:"decision"`
	Status   int                `json:"status,omitempty"`
	Realm    string             `json:"realm,omitempty"`
	Class    string             `json:"class,omitempty"` // of the caller
	Targets  []calltrace.Target `json:"targets,omitempty"`
	Fallback []calltrace.Target `json:"redirect_on_failure,omitempty"`
	Trace    []calltrace.Step   `json:"trace"`
	Forwards []Forward          `json:"forwards,omitempty"`
}

// Forward is what would happen after the telephones have failed.
type Forward struct {
	When    string             `json:"when"`   // busy, not answered, out of reach
	Status  int                `json:"status"` // of the telephones
	After   float64            `json:"after_s,omitempty"`
	Targets []calltrace.Target `json:"targets,omitempty"`
	Trace   []calltrace.Step   `json:"trace"`
}

// Of is a decision about f.
func Of(t target.Tables, f *target.Facts, d *target.Decision, now time.Time) View {
	v := View{Decision: calltrace.KindName(d.Kind), Status: d.Status, Realm: d.Realm, Class: f.ClassOf(t), Trace: calltrace.Steps(&d.Trace)}
	if d.Kind == target.Proxy {
		v.Status = 0
		v.Forwards = forwards(t, f, d, now)
	}
	if d.Kind == target.Proxy || d.Kind == target.Redirect {
		v.Targets = calltrace.Targets(d.Targets)
	}
	v.Fallback = calltrace.Targets(d.Redirect)
	return v
}

// failures are the ways in which telephones fail that a user may have forwards for.
var failures = []struct {
	when   string
	status int
}{{"busy", 486}, {"not answered", 408}, {"out of reach", 503}}

// forwards says what the forwards of who is called do when his telephones fail.
func forwards(t target.Tables, f *target.Facts, d *target.Decision, now time.Time) (list []Forward) {
	if d.Waiting.User == "" {
		return nil
	}
	for _, x := range failures {
		q := target.Failure{Waiting: d.Waiting, URI: f.URI, Status: x.status, Set: slices.Concat(d.Targets, d.Redirect), Disposition: d.Disposition}
		var then target.Decision
		target.Next(t, &q, now, &then)
		if !slices.ContainsFunc(then.Trace.Steps(), func(s trace.Step) bool { return s.Table == "forwards" }) {
			continue
		}
		v := Forward{When: x.when, Status: x.status, Targets: calltrace.Targets(then.Targets), Trace: calltrace.Steps(&then.Trace)}
		if x.status == 408 {
			v.After = d.Waiting.NoAnswer.Seconds()
		}
		list = append(list, v)
	}
	return list
}
