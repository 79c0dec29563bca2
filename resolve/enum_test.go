package resolve

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/miekg/dns"
)

// enumZone is what the servers of the tests know of numbers, below example.com: names of numbers are written +44... here.
const enumZone = `+441632960083 NAPTR 100 50 "u" "E2U+sip" "!^(\\+441632960083)$!sip:\\1@example.com!" .
+441632960083 NAPTR 100 51 "u" "E2U+h323" "!^\\+441632960083$!h323:operator@example.com!" .
+441632960083 NAPTR 100 52 "u" "E2U+email:mailto" "!^.*$!mailto:info@example.com!" .
+4401 NAPTR 20 1 "u" "E2U+sip" "!^.*$!sip:worse@example.com!" .
+4401 NAPTR 10 2 "U" "e2u+SIP" "!^.*$!sip:second@example.com!" .
+4401 NAPTR 10 1 "u" "E2U+email:mailto+sip" "/^\\+44(.*)$/sip:\\1@example.com/i" .
+4401 NAPTR 10 3 "u" "sip+E2U" "!^.*$!sips:old@example.com!" .
+4402 NAPTR 10 1 "s" "E2U+sip" "" x.example.com.
+4402 NAPTR 10 2 "u" "E2U+sip" "!^\\+49!sip:other@example.com!" .
+4402 NAPTR 10 3 "u" "E2U+sip" "" .
+4402 NAPTR 10 4 "u" "E2U+sip" "!^.*$!sip:both@example.com!" x.example.com.
+4402 NAPTR 10 5 "u" "E2U+sip" "!(((!sip:broken@example.com!" .
+4402 NAPTR 10 6 "u" "E2U+p-lab+sip" "!^.*$!sip:private@example.com!" .
+4402 NAPTR 10 7 "" "" "" .
+4402 NAPTR 20 1 "u" "E2U+sip" "!^.*$!sip:last@example.com!" .
+4403 NAPTR 10 1 "" "E2U+h323" "!junk" next.example.com.
+4403 NAPTR 10 2 "u" "E2U+sip" "!^.*$!sip:here@example.com!" .
next  NAPTR 99 9 "u" "E2U+sip" "!^\\+44(.*)$!sip:\\1@next.example.com!" .
+4404 NAPTR 10 1 "" "" "" loop.example.com.
+4404 NAPTR 10 2 "" "" "" nowhere.example.com.
+4404 NAPTR 10 3 "" "" "" refused.example.net.
+4404 NAPTR 10 4 "u" "E2U+sip" "!^.*$!sip:after@example.com!" .
loop  NAPTR 10 1 "" "" "" loop.example.com.
loop  NAPTR 10 2 "" "" "" loop2.example.com.
loop2 NAPTR 10 1 "" "" "" loop.example.com.
+4405 NAPTR 10 1 "" "" "" c2.example.com.
c2 NAPTR 1 1 "" "" "" c3.example.com.
c3 NAPTR 1 1 "" "" "" c4.example.com.
c4 NAPTR 1 1 "" "" "" c5.example.com.
c5 NAPTR 1 1 "" "" "" c6.example.com.
c6 NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:sixth@example.com!" .
c6 NAPTR 1 1 "" "" "" c7.example.com.
c7 NAPTR 1 1 "u" "E2U+sip" "!^.*$!sip:seventh@example.com!" .
+4406 CNAME next
+4407 NAPTR 10 1 "u" "E2U+tel" "!^.*$!tel:+4407!" .
+4408 NAPTR 10 1 "" "" "" refused.example.net.
+4410 NAPTR 10 1 "u" "E2U+sip" "!^.*$!sip:b@example.com!" .
+4410 NAPTR 10 1 "u" "E2U+sip" "!^.*$!sip:a@example.com!" .
`

// numbers writes the names of numbers as they stand in a zone.
func numbers(zone string) string {
	lines := strings.Split(zone, "\n")
	for i, line := range lines {
		if number, rest, _ := strings.Cut(line, " "); strings.HasPrefix(number, "+") {
			lines[i] = strings.TrimSuffix(enumQuery{number, ""}.name(), ".") + " " + rest
		}
	}
	return strings.Join(lines, "\n")
}

// enumServer answers from a zone, and refuses what is not below example.com.
func enumServer(t *testing.T, zone string, asked *atomic.Int32) func(string, *dns.Msg) *dns.Msg {
	t.Helper()
	var records []dns.RR
	p := dns.NewZoneParser(strings.NewReader("$ORIGIN example.com.\n$TTL 300\n"+numbers(zone)), "", "")
	for rr, ok := p.Next(); ok; rr, ok = p.Next() {
		records = append(records, rr)
	}
	if err := p.Err(); err != nil {
		t.Fatal(err)
	}
	return func(_ string, q *dns.Msg) *dns.Msg {
		asked.Add(1)
		m := new(dns.Msg)
		m.SetReply(q)
		if !strings.HasSuffix(q.Question[0].Name, ".example.com.") {
			m.Rcode = dns.RcodeServerFailure
			return m
		}
		for name := q.Question[0].Name; name != ""; {
			alias := ""
			for _, rr := range records {
				if rr.Header().Name == name {
					m.Answer = append(m.Answer, rr)
					if c, ok := rr.(*dns.CNAME); ok {
						alias = c.Target
					}
				}
			}
			name = alias
		}
		if len(m.Answer) == 0 {
			m.Rcode = dns.RcodeNameError
		}
		return m
	}
}

// enum waits for a look-up.
func (r *Resolver) enum(number, root string) string {
	type result struct {
		targets []EnumTarget
		err     error
	}
	done := make(chan result, 1)
	targets, err, ready := r.Enum(number, root, func(t []EnumTarget, err error) { done <- result{t, err} })
	if !ready {
		res := <-done
		targets, err = res.targets, res.err
	}
	return enumText(targets, err)
}

func enumText(targets []EnumTarget, err error) string {
	if err != nil {
		return err.Error()
	}
	var uris []string
	for _, t := range targets {
		uris = append(uris, t.URI)
	}
	return strings.Join(uris, " ")
}

// enumCases are look-ups below example.com, and how many questions they take.
var enumCases = []struct {
	name, number, want string
	asks               int32
}{
	{"RFC 6116 4", "+441632960083", "sip:+441632960083@example.com", 1},
	{"order, preference, several services, the old form", "+4401", "sip:01@example.com sip:second@example.com sips:old@example.com", 1},
	{"bad records are passed over", "+4402", "sip:last@example.com", 1},
	{"a record leads to another name, whose order is its own", "+4403", "sip:03@next.example.com sip:here@example.com", 2},
	{"loops, names that do not exist, servers that refuse", "+4404", "sip:after@example.com", 5},
	{"a chain of five", "+4405", "sip:sixth@example.com", 6},
	{"an alias", "+4406", "sip:06@next.example.com", 1},
	{"no SIP address", "+4407", "resolve: no SIP address of this number: +4407 in example.com", 1},
	{"no such number", "+4409", "resolve: no SIP address of this number: +4409 in example.com", 1},
	{"those that are alike stay in their order", "+4410", "sip:b@example.com sip:a@example.com", 1},
	{"the next name is refused", "+4408", "SERVFAIL", 2},
	{"no plus", "4401", `resolve: no SIP address of this number: "4401" is not + and 1 to 15 digits`, 0},
	{"no digits", "+", `resolve: no SIP address of this number: "+" is not + and 1 to 15 digits`, 0},
	{"other characters", "+44.01", `resolve: no SIP address of this number: "+44.01" is not + and 1 to 15 digits`, 0},
	{"16 digits", "+1234567890123456", `resolve: no SIP address of this number: "+1234567890123456" is not + and 1 to 15 digits`, 0},
}

// TestEnum looks numbers up twice: the second time nobody is asked.
func TestEnum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		handle := enumServer(t, enumZone, &asked)
		for _, c := range enumCases {
			r := virtual(t, handle)
			asked.Store(0)
			for _, again := range []string{"", ", again"} {
				if got := r.enum(c.number, "Example.COM."); got != c.want && !(c.want == "SERVFAIL" && strings.HasSuffix(got, c.want)) {
					t.Errorf("%s%s: got %s, want %s", c.name, again, got, c.want)
				}
				if got := asked.Load(); got != c.asks {
					t.Errorf("%s%s: got %d questions, want %d", c.name, again, got, c.asks)
				}
			}
			r.Close()
		}
		r := virtual(t, handle)
		for _, root := range []string{"", "a..b", strings.Repeat("a.", 120) + "a", "exa mple.com"} {
			if _, err, ready := r.Enum("+441632960083", root, nil); !ready || !errors.Is(err, ErrNoTarget) {
				t.Errorf("root %q: got %v, want ErrNoTarget at once", root, err)
			}
		}
	})
}

func TestEnumTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := virtual(t, enumServer(t, enumZone, new(atomic.Int32)))
		got, err := r.ExplainEnum(t.Context(), "+4403", "example.com", func(Step) {})
		want := []EnumTarget{{"sip:03@next.example.com", "next.example.com", 99, 9}, {"sip:here@example.com", "3.0.4.4.example.com", 10, 2}}
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %+v and %v, want %+v", got, err, want)
		}
	})
}

// TestEnumWaits: callers share a look-up, and fail as others do when the servers are silent, too many wait, or the resolver ends.
func TestEnumWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		release := make(chan struct{})
		handle := enumServer(t, enumZone, &asked)
		r := virtual(t, func(n string, q *dns.Msg) *dns.Msg {
			if q.Question[0].Name == "1.silent.example.com." {
				return nil
			}
			<-release
			return handle(n, q)
		})
		var mu sync.Mutex
		var lists [][]EnumTarget
		for range 100 {
			if _, _, ready := r.Enum("+4401", "example.com", func(l []EnumTarget, err error) {
				mu.Lock()
				defer mu.Unlock()
				if err == nil {
					lists = append(lists, l)
				}
			}); ready {
				t.Error("got an answer at once, want it later")
			}
		}
		synctest.Wait()
		if s := r.Status(time.Now()); s.LookUps != 1 || s.Waiting != 100 {
			t.Errorf("got %+v, want one look-up for 100 callers", s)
		}
		close(release)
		synctest.Wait()
		if len(lists) != 100 || asked.Load() != 1 {
			t.Errorf("got %d answers of %d questions, want 100 of 1", len(lists), asked.Load())
		}
		lists[0][0].URI = "spoilt"
		if got := lists[1][0].URI; got == "spoilt" {
			t.Error("two callers share their targets")
		}
		begin := time.Now()
		if got := r.enum("+1", "silent.example.com"); !strings.HasPrefix(got, ErrUnavailable.Error()) || time.Since(begin) > questionTime {
			t.Errorf("silent servers: got %s after %v, want %v", got, time.Since(begin), ErrUnavailable)
		}
		r.mu.Lock()
		r.waiting += maxWaiting
		r.mu.Unlock()
		if got := r.enum("+4402", "example.com"); got != ErrBusy.Error() {
			t.Errorf("too many wait: got %s, want %v", got, ErrBusy)
		}
		if got := r.enum("+4401", "example.com"); !strings.HasPrefix(got, "sip:") {
			t.Errorf("too many wait, but it is in the cache: got %s", got)
		}
		r.mu.Lock()
		r.waiting -= maxWaiting
		r.mu.Unlock()
		synctest.Wait() // A look-up has ended a moment after its caller was told.
		if s := r.Status(time.Now()); s.LookUps != 0 || s.Waiting != 0 || s.Refused != 1 {
			t.Errorf("got %+v, want nobody waiting and one refused", s)
		}
		r.Close()
		if got := r.enum("+4402", "example.com"); got != ErrUnavailable.Error() {
			t.Errorf("closed: got %s, want %v", got, ErrUnavailable)
		}
	})
}

// TestEnumHostile: a zone of somebody else's costs no more than a little work, whatever it has.
func TestEnumHostile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		records := func(number string, n int, line func(i int) string) string {
			var b strings.Builder
			for i := range n {
				fmt.Fprintf(&b, "%s NAPTR 1 %d %s\n", number, i, line(i))
			}
			return b.String()
		}
		zone := records("+1", 64, func(i int) string {
			return fmt.Sprintf(`"u" "E2U+sip" "!^(.{%d}|.?)*(((.?){30}){30}|.)(.{900}|.{800})$!sip:a%d@example.com!" .`, 100+i, i)
		}) + records("+2", 64, func(i int) string { return fmt.Sprintf(`"" "" "" w%d.example.com.`, i) }) +
			records("+3", 64, func(i int) string {
				return fmt.Sprintf(`"u" "E2U+sip" "!^\\+3(%d)?(.*)$!sip:a%d@example.com!" .`, i, i)
			}) +
			records("+4", 65, func(i int) string { return fmt.Sprintf(`"u" "E2U+sip" "!^.*$!sip:a%d@example.com!" .`, i) }) +
			records("+5", 20, func(i int) string { return `"u" "E2U+sip" "!^.*$!sip:same@example.com!" .` }) +
			records("+6", 63, func(i int) string {
				return fmt.Sprintf(`"u" "E2U+sip" "!^(\\+4416329600%02d)([0-9]{0,2})$!sip:\\1@example.com!" .`, i)
			}) +
			"+6 NAPTR 1 99 \"u\" \"E2U+sip\" \"!^(\\\\+[0-9]+)$!sip:\\\\1@example.com!\" .\n"
		for i := range 64 { // a tree: each of 64 names leads to all of them
			zone += records(fmt.Sprintf("w%d", i), 64, func(j int) string { return fmt.Sprintf(`"" "" "" w%d.example.com.`, j) })
		}
		var asked atomic.Int32
		handle := enumServer(t, zone, &asked)
		var first8 []string
		for i := range maxEnumTargets {
			first8 = append(first8, fmt.Sprintf("sip:a%d@example.com", i))
		}
		for _, c := range []struct {
			name, number, want string
			asks               int32
		}{
			{"expressions that weigh much", "+1", "resolve: no SIP address of this number: +1 in example.com", 1},
			{"a tree of names", "+2", "resolve: no SIP address of this number: +2 in example.com", maxEnumQuestions},
			{"many targets", "+3", strings.Join(first8, " "), 1},
			{"more records than are taken", "+4", "resolve: bad answer: 4.example.com.: 65 records and 0 beside them, 64 and 512 are taken", 1},
			{"the same again and again", "+5", "sip:same@example.com", 1},
			{"as many fair ones as are taken", "+6", "sip:+6@example.com", 1},
		} {
			asked.Store(0)
			// Packed and read again, as if it had come by a socket.
			r := New(Config{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}, Support: all,
				Exchange: func(_ context.Context, n string, _ netip.AddrPort, q *dns.Msg) (*dns.Msg, error) {
					return parse(pack(handle(n, q)), q)
				}})
			if got := r.enum(c.number, "example.com"); got != c.want {
				t.Errorf("%s: got %s, want %s", c.name, got, c.want)
			}
			if got := asked.Load(); got != c.asks {
				t.Errorf("%s: got %d questions, want %d", c.name, got, c.asks)
			}
			r.Close()
		}
	})
}

// TestExplainEnum: people read why.
func TestExplainEnum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := virtual(t, enumServer(t, enumZone, new(atomic.Int32)))
		for _, c := range []struct{ number, want string }{
			{"+4402", `3.2 +4402 is looked for at 2.0.4.4.example.com
3.2 2.0.4.4.example.com NAPTR: 8, for 300 s, from 192.0.2.53:53 by UDP
3.4.2 order 10, preference 1, "s" "E2U+sip" to x.example.com: passed over: the flag is not u
3.4 order 10, preference 2, "u" "E2U+sip" "!^\\+49!sip:other@example.com!": passed over: the number does not match
3.4 order 10, preference 3, "u" "E2U+sip" "": passed over: it has no expression
3.4 order 10, preference 4, "u" "E2U+sip" to x.example.com: passed over: it has a replacement beside or instead of an expression
` + "3.4 order 10, preference 5, \"u\" \"E2U+sip\" \"!(((!sip:broken@example.com!\": passed over: error parsing regexp: missing closing ): `(((`" + `
3.4.3 order 10, preference 6, "u" "E2U+p-lab+sip" "!^.*$!sip:private@example.com!": passed over: the service is a private one
5.2.1 order 10, preference 7, "" "" to : passed over: it leads to no domain name
3.4 order 20, preference 1, "u" "E2U+sip" "!^.*$!sip:last@example.com!": sip:last@example.com
`},
			{"+4404", `3.2 +4404 is looked for at 4.0.4.4.example.com
3.2 4.0.4.4.example.com NAPTR: 4, for 300 s, from 192.0.2.53:53 by UDP
5.2.1 order 10, preference 1, "" "" to loop.example.com: followed
3.2 loop.example.com NAPTR: 2, for 300 s, from 192.0.2.53:53 by UDP
5.2.1 order 10, preference 1, "" "" to loop.example.com: passed over: a loop
5.2.1 order 10, preference 2, "" "" to loop2.example.com: followed
3.2 loop2.example.com NAPTR: 1, for 300 s, from 192.0.2.53:53 by UDP
5.2.1 order 10, preference 1, "" "" to loop.example.com: passed over: a loop
5.2.1 order 10, preference 2, "" "" to nowhere.example.com: followed
3.2 nowhere.example.com NAPTR: none, for 30 s, from 192.0.2.53:53 by UDP
5.2.1 order 10, preference 3, "" "" to refused.example.net: followed
3.2 refused.example.net NAPTR: resolve: no answer: refused.example.net NAPTR: 192.0.2.53:53: it answers SERVFAIL
3.4 order 10, preference 4, "u" "E2U+sip" "!^.*$!sip:after@example.com!": sip:after@example.com
`},
			{"+4401", `3.2 +4401 is looked for at 1.0.4.4.example.com
3.2 1.0.4.4.example.com NAPTR: 4, for 300 s, from 192.0.2.53:53 by UDP
3.4 order 10, preference 1, "u" "E2U+email:mailto+sip" "/^\\+44(.*)$/sip:\\1@example.com/i": sip:01@example.com
3.4 order 10, preference 2, "U" "e2u+SIP" "!^.*$!sip:second@example.com!": sip:second@example.com
3.4 order 10, preference 3, "u" "sip+E2U" "!^.*$!sips:old@example.com!": sips:old@example.com
3.5 order 20, preference 1, "u" "E2U+sip" "!^.*$!sip:worse@example.com!": passed over: one of a lower order was taken
`},
		} {
			var b strings.Builder
			_, err := r.ExplainEnum(t.Context(), c.number, "example.com", func(s Step) { fmt.Fprintf(&b, "%s %s\n", s.Section, s) })
			if got := b.String(); err != nil || got != c.want {
				t.Errorf("%s: got %v\n%s\nwant\n%s", c.number, err, got, c.want)
			}
		}
	})
}

// TestNSDEnum looks numbers up in a real name server, which has the texts in its own form.
func TestNSDEnum(t *testing.T) {
	r := New(Config{Servers: []netip.AddrPort{startNSD(t)}, Support: all})
	defer r.Close()
	for _, c := range enumCases {
		if got := r.enum(c.number, "example.com"); got != c.want && !(c.want == "SERVFAIL" && strings.HasSuffix(got, "it answers REFUSED")) {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
	if s := r.Status(time.Now()).Servers[0]; s.Answered+s.Failed == 0 {
		t.Error("the server was not asked")
	}
}

// BenchmarkEnumCached is what a call pays when nobody must be asked.
func BenchmarkEnumCached(b *testing.B) {
	r := New(Config{Support: all})
	defer r.Close()
	q := question{"3.8.0.0.6.9.2.3.6.1.4.4.e164.arpa", NAPTR}
	r.cache.put(q, Answer{NAPTR: []NAPTRRecord{{100, 50, "u", "E2U+sip", `!^\\+44(.*)$!sip:\\1@example.com!`, ""}}}, nil, time.Hour, time.Now())
	b.ReportAllocs()
	for b.Loop() {
		if _, err, ready := r.Enum("+441632960083", "e164.arpa", nil); err != nil || !ready {
			b.Fatal(err)
		}
	}
}
