package answers_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"sipd/config"
	"sipd/location"
	"sipd/resolve"
	"sipd/server/answers"
	"sipd/server/target"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
)

// sources make Sources over a name server that has these NAPTR records of +4411, nil: it fails.
func sources(t *testing.T, records ...string) *answers.Sources {
	t.Helper()
	r := resolve.New(resolve.Config{
		Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Support: resolve.Support{UDP: true, IPv4: true},
		Exchange: func(_ context.Context, _ string, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
			if records == nil {
				return nil, errors.New("the network is down")
			}
			m := new(dns.Msg).SetReply(q)
			for _, data := range records {
				rr, err := dns.NewRR(q.Question[0].Name + " 60 IN NAPTR " + data)
				if err != nil {
					return nil, err
				}
				m.Answer = append(m.Answer, rr)
			}
			return m, nil
		},
	})
	s := answers.New(r, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		r.Close()
		s.Close()
	})
	return s
}

// ask waits for an answer.
func ask(t *testing.T, s *answers.Sources, q target.Question) string {
	t.Helper()
	came := make(chan []target.Found, 1)
	found, ready := s.Ask(q, func(found []target.Found) { came <- found })
	if !ready {
		select {
		case found = <-came:
		case <-time.After(10 * time.Second):
			t.Fatal("no answer within 10 s")
		}
	}
	return fmt.Sprint(found)
}

// TestEnum: order and preference are places, and what fails is nothing.
func TestEnum(t *testing.T) {
	q := target.Question{Kind: target.Enum, Subject: "+4411"}
	naptr := func(preference int, uri string) string {
		return fmt.Sprintf(`10 %d "u" "E2U+sip" "!^.*$!%s!" .`, preference, uri)
	}
	for _, tt := range []struct {
		name, root string
		records    []string
		want       string
	}{
		{"places", "e164.arpa", []string{naptr(20, "sip:c@x"), naptr(10, "sip:a@x"), naptr(10, "sip:b@x"), naptr(30, "sip:d@x")},
			"[{sip:a@x 0 0} {sip:b@x 0 0} {sip:c@x 0 1} {sip:d@x 0 2}]"},
		{"none", "e164.arpa", []string{}, "[]"},
		{"no name server", "e164.arpa", nil, "[]"},
		{"off", "", []string{naptr(10, "sip:a@x")}, "[]"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := sources(t, tt.records...)
			s.Follow(&config.Settings{EnumRoot: tt.root})
			if got := ask(t, s, q); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if got := ask(t, s, q); got != tt.want { // from the cache
				t.Errorf("asked again: got %s, want %s", got, tt.want)
			}
			if got := ask(t, s, target.Question{Kind: target.Locate, Subject: "bob@example.org"}); got != "[]" {
				t.Errorf("got %s without Locator, want nothing", got)
			}
		})
	}
}

// TestLocator: the setting may change while somebody waits; he is told that nobody knows.
func TestLocator(t *testing.T) {
	begun, hold := make(chan struct{}, 10), make(chan struct{})
	serve := func(write string, wait bool) *httptest.Server {
		h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if wait {
				begun <- struct{}{}
				select {
				case <-hold:
				case <-r.Context().Done():
				}
			}
			fmt.Fprintf(w, write, r.URL.Query().Get("caller"))
		}))
		t.Cleanup(h.Close)
		return h
	}
	slow, fast := serve("sip:%s", true), serve("sip:%s 0.5\nsip:b@x", false)
	t.Cleanup(func() { close(hold) })
	s := sources(t)
	set := &config.Settings{Locator: config.Locator{URL: slow.URL}}
	s.Follow(set)
	q := target.Question{Kind: target.Locate, Subject: "bob@example.org", Caller: "alice@example.org", Method: "INVITE"}
	came := make(chan []target.Found, 1)
	if _, ready := s.Ask(q, func(found []target.Found) { came <- found }); ready {
		t.Fatal("got an answer at once from a service that waits")
	}
	<-begun
	if setting, st, ok := s.Status(time.Now()); !ok || setting != slow.URL || st.Running != 1 {
		t.Errorf("got status %q %+v %v, want one question of %s", setting, st, ok, slow.URL)
	}
	next := *set
	next.Locator = config.Locator{URL: fast.URL}
	s.Follow(&next)
	if found := <-came; len(found) != 0 {
		t.Errorf("got %v of the service before, want nothing", found)
	}
	if got, want := ask(t, s, q), "[{sip:b@x 1000 0} {sip:alice@example.org 500 0}]"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	other := next
	other.EnumRoot = "e164.arpa"
	s.Follow(&other)
	if _, st, ok := s.Status(time.Now()); !ok || st.Answered != 1 {
		t.Errorf("got status %+v %v after another setting has changed, want the same locator", st, ok)
	}
	s.Follow(&config.Settings{})
	if _, _, ok := s.Status(time.Now()); ok {
		t.Error("got a locator, want none: it is off")
	}
	if got := ask(t, s, q); got != "[]" {
		t.Errorf("got %s without Locator, want nothing", got)
	}
	s.Close()
	s.Follow(&next)
	if _, _, ok := s.Status(time.Now()); ok {
		t.Error("got a locator after Close, want none")
	}
}

// TestDecide: a command waits for what has to be asked, and no longer than it may.
func TestDecide(t *testing.T) {
	hold := make(chan struct{})
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("aor") == "slow@example.org" {
			select {
			case <-hold:
			case <-r.Context().Done():
			}
		}
		fmt.Fprint(w, "sip:b@192.0.2.9")
	}))
	defer h.Close()
	defer close(hold)
	mem := storetest.New()
	if err := mem.AddDomain(t.Context(), &store.Domain{Name: "example.org"}); err != nil {
		t.Fatal(err)
	}
	set := func(name, value string) config.Value { return config.Value{Name: name, Args: []string{value}} }
	tables, err := cache.New(cache.Config{Store: mem, Overrides: [][]config.Value{{
		set("AuthMethod", "none"), set("ServerName", "sip.example.org"), set("EnumRoot", "e164.arpa"), set("Locator", h.URL)}}})
	if err != nil {
		t.Fatal(err)
	}
	if err := tables.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	loc, err := location.New(location.Config{Store: mem})
	if err != nil {
		t.Fatal(err)
	}
	s := sources(t)
	s.Follow(tables.Snapshot().Settings)
	for _, tt := range []struct {
		uri   string
		limit time.Duration
		want  string
	}{
		{"sip:bob@example.org", time.Minute, "kind 2, status 0, 1 answers, <nil>"},
		{"tel:+4411", time.Minute, "kind 2, status 0, 2 answers, <nil>"},
		{"sip:slow@example.org", 20 * time.Millisecond, "kind 0, status 404, 1 answers, context deadline exceeded"},
	} {
		u, err := sipaddr.Parse([]byte(tt.uri))
		if err != nil {
			t.Fatal(err)
		}
		from, err := sipaddr.Parse([]byte("sip:alice@elsewhere.example"))
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), tt.limit)
		f := target.Facts{Method: []byte("INVITE"), URI: &u, From: &from}
		var d target.Decision
		s.Decide(ctx, target.Tables{Snapshot: tables.Snapshot(), Location: loc}, &f, time.Now(), &d)
		cancel()
		got := fmt.Sprintf("kind %d, status %d, %d answers, %v", d.Kind, d.Status, len(f.Answers), f.Answers[len(f.Answers)-1].Err)
		if got != tt.want {
			var why bytes.Buffer
			d.Trace.Print(&why)
			t.Errorf("%s: got %s, want %s\n%s", tt.uri, got, tt.want, &why)
		}
	}
}

// TestFollowWhileAsked lets settings change while many ask.
func TestFollowWhileAsked(t *testing.T) {
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "sip:b@x") }))
	defer h.Close()
	s := sources(t, []string{}...)
	var group sync.WaitGroup
	var told sync.WaitGroup
	for i := range 8 {
		group.Go(func() {
			for j := range 50 {
				told.Add(1)
				q := target.Question{Kind: target.Locate, Subject: fmt.Sprintf("u%d@example.org", i*50+j), Method: "INVITE"}
				if _, ready := s.Ask(q, func([]target.Found) { told.Done() }); ready {
					told.Done()
				}
			}
		})
	}
	for i := range 50 {
		set := config.Settings{Locator: config.Locator{URL: h.URL}}
		if i%2 == 1 {
			set.Locator = config.Locator{}
		}
		s.Follow(&set)
	}
	group.Wait()
	s.Close()
	told.Wait() // Everybody is, once.
}

// TestLog: a Locator that cannot be made is told, and there is none.
func TestLog(t *testing.T) {
	var buf bytes.Buffer
	r := resolve.New(resolve.Config{})
	defer r.Close()
	s := answers.New(r, slog.New(slog.NewTextHandler(&buf, nil)))
	defer s.Close()
	s.Follow(&config.Settings{Locator: config.Locator{Program: "relative"}})
	if _, _, ok := s.Status(time.Now()); ok || !strings.Contains(buf.String(), "not an absolute path") {
		t.Errorf("got locator %v and %q, want none and why", ok, buf.String())
	}
}
