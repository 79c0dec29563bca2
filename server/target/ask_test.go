package target

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sipd/plan"
	"sipd/sipaddr"
	"sipd/store"
)

// enumAnswer is what DNS has of +12125551234, one URI a place but where "=" stands in front: it shares the place before.
func enumAnswer(uris ...string) Answer {
	a := Answer{Question: Question{Kind: Enum, Subject: "+12125551234"}}
	place := -1
	for _, u := range uris {
		uri, same := strings.CutPrefix(u, "=")
		if !same {
			place++
		}
		a.Found = append(a.Found, Found{URI: uri, Place: place})
	}
	return a
}

// TestEnumPlaces: the places of an answer are tried in turn, whatever q, groups and delays there are behind each.
func TestEnumPlaces(t *testing.T) {
	tabs := office(t, nil, func(rows *store.Tables) {
		for i, delay := range []int{0, 5} {
			rows.Aliases = append(rows.Aliases, store.Alias{ID: int64(900 + i), Alias: "crew@cs.example.edu", Kind: store.Group, Delay: delay,
				PrimaryUser: sipaddr.AOR(fmt.Sprintf("u%d@cs.example.edu", 3+i))})
		}
		for i := range 2 {
			rows.Aliases = append(rows.Aliases, store.Alias{ID: int64(910 + i), Alias: "either@cs.example.edu", PrimaryUser: sipaddr.AOR(fmt.Sprintf("u%d@cs.example.edu", 3+i))})
		}
		rows.Forwards = append(rows.Forwards, forward(5, store.ForwardBusy, "sip:u6@cs.example.edu"), forward(7, store.ForwardAll, "sip:u8@cs.example.edu"))
	})
	tabs.Location.(contacts)["u1@cs.example.edu"] = append(tabs.Location.(contacts)["u1@cs.example.edu"], numericContact("sip:u1@10.0.9.1", 200))
	tabs.Enum = true
	const here = "@cs.example.edu"
	for _, tt := range []struct {
		name, want string
		uris       []string
	}{
		{"contacts of low q come before the next place", "proxy 0 0:u1@10.0.1.1 1:u1@10.0.9.1 2:u2@10.0.1.2", []string{"sip:u1" + here, "sip:u2" + here}},
		{"one place is as any call", "proxy 0 0:u1@10.0.1.1 0:u2@10.0.1.2 1:u1@10.0.9.1", []string{"sip:u1" + here, "=sip:u2" + here}},
		{"a ring group first", "proxy 0 0:u3@10.0.1.3 1:u4@10.0.1.4 2:u2@10.0.1.2", []string{"sip:crew" + here, "sip:u2" + here}},
		{"a ring group behind", "proxy 0 0:u2@10.0.1.2 1:u3@10.0.1.3 1:u4@10.0.1.4", []string{"sip:u2" + here, "sip:crew" + here}},
		{"places without a target", "proxy 0 0:u2@10.0.1.2 1:x@10.0.2.2", []string{"tel:+1", "sip:nobody" + here, "sip:u9" + here, "sip:u2" + here, "", "sip:x@10.0.2.2"}},
		{"several who are no group", "proxy 0 0:u2@10.0.1.2", []string{"sip:either" + here, "sip:u2" + here}},
		{"the same again", "proxy 0 0:u2@10.0.1.2 1:x@10.0.2.2", []string{"sip:u2" + here, "sip:u2" + here, "sip:x@10.0.2.2", "sip:x@10.0.2.2"}},
		{"a forward", "proxy 0 0:u8@10.0.1.8 1:u2@10.0.1.2", []string{"sip:u7" + here, "sip:u2" + here}},
		{"many", "proxy 0" + strings.Join(numbered(maxAnswers, " %d:x@10.0.3.%d"), ""), numbered(2*maxAnswers, "sip:x@10.0.3.%[2]d")},
	} {
		d := decideNumber(t, tabs, Facts{}, enumAnswer(tt.uris...))
		if got := summary(d); got != tt.want {
			var why strings.Builder
			d.Trace.Print(&why)
			t.Errorf("%s: got %s, want %s\n%s", tt.name, got, tt.want, &why)
		}
	}
	if d := decideNumber(t, tabs, Facts{}, enumAnswer("sip:u5"+here)); d.Waiting.User != "u5@cs.example.edu" {
		t.Errorf("got forwards of %q for one user, want his", d.Waiting.User)
	}
	if d := decideNumber(t, tabs, Facts{}, enumAnswer("sip:u5"+here, "sip:u2"+here)); d.Waiting.User != "" {
		t.Errorf("got forwards of %q for two places, want nobody's", d.Waiting.User)
	}
}

func numbered(n int, format string) (list []string) {
	for i := range n {
		list = append(list, fmt.Sprintf(format, i, i))
	}
	return list
}

// decideNumber decides about a call to +12125551234 of a user of class null, unless f says who calls.
func decideNumber(t *testing.T, tabs Tables, f Facts, a ...Answer) *Decision {
	t.Helper()
	u := parse(t, "tel:+12125551234")
	if f.From == nil {
		from := parse(t, "sip:null@cs.example.edu")
		f.From, f.Verdict, f.User = &from, Authenticated, tabs.User([]byte("null@cs.example.edu"))
	}
	f.URI, f.Method, f.Answers = &u, []byte("INVITE"), a
	d := &Decision{}
	Decide(tabs, &f, now, d)
	return d
}

// TestEnumElsewhere: an answer leads out of our domains only whom ForeignDomain lets, by his own request.
func TestEnumElsewhere(t *testing.T) {
	ours, foreign := parse(t, "sip:null@cs.example.edu"), parse(t, "sip:x@elsewhere.example")
	for _, tt := range []struct {
		name, mode, auth string
		facts            Facts
		want             string
	}{
		{"a user of ours", "proxy", "digest", Facts{From: &ours, Verdict: Authenticated}, "proxy 0 0:x@other.example"},
		{"who is sent there himself", "redirect", "digest", Facts{From: &ours, Verdict: Authenticated}, "redirect 302 0:x@other.example"},
		{"whatever he prefers", "redirect", "digest", Facts{From: &ours, Verdict: Authenticated, Disposition: WantProxy}, "redirect 302 0:x@other.example"},
		{"or not", "reject", "digest", Facts{From: &ours, Verdict: Authenticated}, "reject 403"},
		{"in the name of somebody elsewhere", "proxy", "digest", Facts{From: &foreign, Verdict: Authenticated}, "reject 403"},
		{"a gateway", "proxy", "digest", Facts{From: &foreign, Trunk: &plan.Gateway{}}, "reject 403"},
		{"a gateway in our name", "proxy", "digest", Facts{From: &ours, Trunk: &plan.Gateway{}}, "reject 403"},
		{"a stranger", "proxy", "digest", Facts{From: &foreign}, "challenge 407"},
		{"in a dialog", "proxy", "digest", Facts{From: &ours, InDialog: true}, "reject 403"},
		{"without authentication", "proxy", "none", Facts{From: &ours}, "proxy 0 0:x@other.example"},
		{"a stranger without authentication", "proxy", "none", Facts{From: &foreign}, "reject 403"},
		{"in a dialog without authentication", "proxy", "none", Facts{From: &ours, InDialog: true}, "reject 403"},
	} {
		tabs := office(t, map[string]string{"ForeignDomain": tt.mode, "AuthMethod": tt.auth}, func(*store.Tables) {})
		tabs.Enum = true
		if tt.facts.Verdict == Authenticated {
			tt.facts.User = tabs.User([]byte("null@cs.example.edu"))
		}
		// The gateway is nobody's to call, and nobody is sent there.
		d := decideNumber(t, tabs, tt.facts, enumAnswer("sip:x@itgw1.cs.example.edu", "sip:x@other.example"))
		if got := summary(d); got != tt.want {
			var why strings.Builder
			d.Trace.Print(&why)
			t.Errorf("%s, %s: got %s, want %s\n%s", tt.name, tt.mode, got, tt.want, &why)
		}
	}
}

// TestNothingIsAsked: in a dialog nobody looks numbers up, and an emergency call waits for nobody.
func TestNothingIsAsked(t *testing.T) {
	tabs := office(t, map[string]string{"LocalNets": "10.0.0.0/8"}, func(rows *store.Tables) {
		rows.Plan.DialRules = append(rows.Plan.DialRules, store.DialRule{ID: 99, Position: 0, Pattern: "112", Target: "sip:u9@cs.example.edu", Emergency: true, Enabled: true})
	})
	tabs.Enum, tabs.Locator = true, true
	from := parse(t, "sip:null@cs.example.edu")
	if d := decideNumber(t, tabs, Facts{From: &from, InDialog: true}); d.Kind == Ask && d.Question.Kind == Enum {
		t.Errorf("got question %v in a dialog, want none", d.Question)
	}
	u := parse(t, "sip:112@cs.example.edu")
	var d Decision
	Decide(tabs, &Facts{URI: &u, From: &from, Source: netip.MustParseAddr("10.0.0.1")}, now, &d)
	if got := summary(&d); d.Kind == Ask || got != "reject 480" {
		t.Errorf("got %s of an emergency call, want reject 480", got)
	}
	u = parse(t, "sip:u9@cs.example.edu")
	if Decide(tabs, &Facts{URI: &u, From: &from, Verdict: Authenticated, User: tabs.User([]byte("null@cs.example.edu"))}, now, &d); d.Kind != Ask {
		t.Errorf("got %s of the same user, want a question", summary(&d))
	}
}

// TestLocatorContacts: what is asked, and what becomes of the contacts.
func TestLocatorContacts(t *testing.T) {
	for _, tt := range []struct {
		name, uri string
		found     []Found
		want      string
	}{
		{"by q", "sip:u9@cs.example.edu", []Found{{URI: "sip:a@10.0.2.1", Q: 300}, {URI: "sip:b@10.0.2.2", Q: 1000}, {URI: "sip:u2@cs.example.edu", Q: 960}},
			"u9@cs.example.edu proxy 0 0:b@10.0.2.2 0:u2@10.0.1.2 1:a@10.0.2.1"},
		{"ourselves", "sip:u9@cs.example.edu", []Found{{URI: "sip:u9@cs.example.edu", Q: 1000}}, "u9@cs.example.edu reject 480"},
		{"what is no SIP", "sip:u9@cs.example.edu", []Found{{URI: "mailto:x@y", Q: 1000}, {URI: "garbage", Q: 1000}}, "u9@cs.example.edu reject 480"},
		{"twice", "sip:u9@cs.example.edu", []Found{{URI: "sip:a@10.0.2.1", Q: 1000}, {URI: "sip:a@10.0.2.1:5060", Q: 900}, {URI: "sip:a@10.0.2.1", Q: 500}},
			"u9@cs.example.edu proxy 0 0:a@10.0.2.1 1:a@10.0.2.1:5060"},
		{"a name with an at sign", "sip:x%40127.0.0.1@cs.example.edu", nil, " reject 404"},
		{"a name with a blank", "sip:x%20y@cs.example.edu", nil, " reject 404"},
		{"an alias", "sip:crew@cs.example.edu", []Found{{URI: "sip:a@10.0.2.1", Q: 1000}}, "crew@cs.example.edu proxy 0 0:a@10.0.2.1"},
		{"a sips request", "sips:u9@cs.example.edu", []Found{{URI: "sip:a@10.0.2.1", Q: 1000}, {URI: "sips:b@10.0.2.2", Q: 500}}, "u9@cs.example.edu proxy 0 0:sips:b@10.0.2.2"},
		{"a sips request without one", "sips:u9@cs.example.edu", []Found{{URI: "sip:a@10.0.2.1", Q: 1000}}, "u9@cs.example.edu reject 480"},
	} {
		tabs := office(t, map[string]string{"AuthMethod": "none"}, func(rows *store.Tables) {
			rows.Users = append(rows.Users, store.User{ID: 200, Key: "u10@cs.example.edu", Realm: "cs.example.edu"})
			for i, u := range []string{"u9@cs.example.edu", "u10@cs.example.edu"} {
				rows.Aliases = append(rows.Aliases, store.Alias{ID: int64(900 + i), Alias: "crew@cs.example.edu", Kind: store.Group, PrimaryUser: sipaddr.AOR(u)})
			}
		})
		tabs.Locator = true
		u, from := parse(t, tt.uri), parse(t, "sip:x@elsewhere.example")
		f := &Facts{URI: &u, From: &from}
		var d Decision
		Decide(tabs, f, now, &d)
		asked := ""
		if d.Kind == Ask {
			asked = d.Question.Subject
			f.Answers = append(f.Answers, Answer{Question: d.Question, Found: tt.found})
			Decide(tabs, f, now, &d)
		}
		if d.Kind == Ask {
			t.Errorf("%s: got a question that was answered", tt.name)
			continue
		}
		if got := asked + " " + summary(&d); got != tt.want {
			var why strings.Builder
			d.Trace.Print(&why)
			t.Errorf("%s: got %s, want %s\n%s", tt.name, got, tt.want, &why)
		}
		for _, x := range d.Targets {
			if local := strings.Contains(x.Binding.URI, "@10.0.1."); !local && x.By != byAdministrator {
				t.Errorf("%s: %s goes as far as %v, want as the administrator", tt.name, x.Binding.URI, x.By)
			}
		}
	}
}

// TestQuestionsAreBounded: tables that change between the questions of a call do not keep it waiting without end.
func TestQuestionsAreBounded(t *testing.T) {
	tabs := office(t, nil, func(*store.Tables) {})
	tabs.Enum, tabs.Locator = true, true
	var others []Answer
	for i := range maxQuestions {
		others = append(others, Answer{Question: Question{Kind: Enum, Subject: fmt.Sprint("+", i)}, Err: errors.New("gone")})
	}
	if d := decideNumber(t, tabs, Facts{}, others[1:]...); d.Kind != Ask || d.Question.Kind != Enum {
		t.Errorf("got %s after %d questions, want one more", summary(d), maxQuestions-1)
	}
	if d := decideNumber(t, tabs, Facts{}, others...); d.Kind == Ask {
		t.Errorf("got question %d, want none", maxQuestions+1)
	}
}
