package server_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/internal/siptest"
	"sipd/internal/siptest/flow"
)

// bulk is a rig for thousands of messages: what arrived is looked at once, at the end.
func (r *rig) bulk(h *siptest.Host, text string) {
	r.Helper()
	if err := h.Send([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		r.Fatal(err)
	}
}

// silence makes the name server silent.
func (r *rig) silence() {
	r.Helper()
	if err := r.net.Names.Change(&flow.DNS{Does: "silent"}); err != nil {
		r.Fatal(err)
	}
}

// took is how long a local call took from step to step, in virtual time.
type took struct{ invite, ringing, answer, ack, bye, over time.Duration }

// localCalls makes n local calls within 5 s, calling each before every one, and returns how long each took.
func (r *rig) localCalls(n int, each func(i int)) (all []took) {
	alice, bob := r.host("10.0.0.1"), r.host("10.0.0.11")
	for i := range n {
		each(i)
		begin := time.Now()
		var t took
		arrives := func(h *siptest.Host, first string) (string, time.Duration) {
			r.Helper()
			synctest.Wait()
			got := h.Take()
			if len(got) != 1 || !strings.HasPrefix(string(got[0].Data), first) {
				r.Fatalf("call %d: %v got %d messages, want one that begins %q", i, h.Addr, len(got), first)
			}
			return strings.ReplaceAll(string(got[0].Data), "\r\n", "\n"), got[0].At.Sub(begin)
		}
		id := fmt.Sprintf("local-%d", i)
		var m string
		r.bulk(alice, request("INVITE", "sip:bob@example.org", id, ""))
		m, t.invite = arrives(bob, "INVITE ")
		r.bulk(bob, response(m, "180 Ringing", 9))
		_, t.ringing = arrives(alice, "SIP/2.0 180 ")
		r.bulk(bob, response(m, "200 OK", 9))
		m, t.answer = arrives(alice, "SIP/2.0 200 ")
		route := "Route: " + header(m, "Record-Route") + "\n"
		r.bulk(alice, inDialog(request("ACK", "sip:bob@10.0.0.11", id+"-ack", route), id, 1))
		_, t.ack = arrives(bob, "ACK ")
		r.bulk(alice, inDialog(request("BYE", "sip:bob@10.0.0.11", id+"-bye", route), id, 2))
		m, t.bye = arrives(bob, "BYE ")
		r.bulk(bob, response(m, "200 OK", 9))
		_, t.over = arrives(alice, "SIP/2.0 200 ")
		all = append(all, t)
		time.Sleep(5 * time.Second / time.Duration(n))
	}
	return all
}

// header returns the value of a header of a message with its lines as Go's.
func header(m, name string) string {
	_, after, _ := strings.Cut(m, "\n"+name+": ")
	value, _, _ := strings.Cut(after, "\n")
	return value
}

// inDialog puts a request of its own branch into the dialog of a call.
func inDialog(text, callID string, cseq int) string {
	text = strings.Replace(text, "Call-ID: "+callID+"-", "Call-ID: "+callID+"\nX: ", 1)
	text = strings.Replace(text, "To: <sip:bob@example.org>", "To: <sip:bob@example.org>;tag=phone", 1)
	return strings.Replace(text, "CSeq: 1 ", fmt.Sprintf("CSeq: %d ", cseq), 1)
}

const bobAndForeign = "set AuthMethod none\nset RequestLog none\nuser alice\n" + bobAtHome

// foreign is an INVITE of one of our users to another domain.
func foreign(host string, i int) string {
	return strings.Replace(request("INVITE", "sip:carol@"+host, fmt.Sprintf("foreign-%d", i), ""), "sip:alice@elsewhere.example", "sip:alice@example.org", 1)
}

// TestSilentNameServer: while the name servers are silent and hundreds of calls to other domains wait for them, local calls take what
// they take otherwise: the 2,000 of this test the same time, to the nanosecond, in every step.
func TestSilentNameServer(t *testing.T) {
	const calls, others = 2000, 4 // four calls to other domains in each one's time
	var alone, beside []took
	onRig(t, bobAndForeign, func(r *rig) {
		alone = r.localCalls(calls, func(int) {})
		r.wait(time.Minute)
		r.unused()
	})
	most, answers := 0, map[string]int{}
	onRig(t, bobAndForeign, func(r *rig) {
		r.silence()
		caller := r.host("10.0.0.2")
		begin := time.Now()
		beside = r.localCalls(calls, func(i int) {
			for j := range others { // Eight hundred domains, each of which is called again and again.
				n := i*others + j
				r.bulk(caller, foreign(fmt.Sprintf("d%d.example", n%800), n))
			}
			if i%100 == 0 {
				servers, _ := r.system.Transactions()
				most = max(most, servers)
			}
		})
		if took := time.Since(begin); took != 5*time.Second {
			t.Errorf("the calls took %v in all, want 5 s", took)
		}
		r.wait(2 * time.Minute)
		for _, a := range caller.Take() {
			line, _, _ := strings.Cut(string(a.Data), "\r\n")
			answers[line]++
		}
		r.unused()
	})
	if !slices.Equal(alone, beside) {
		for i := range alone {
			if alone[i] != beside[i] {
				t.Fatalf("call %d: got %+v beside calls that wait, want %+v as without", i, beside[i], alone[i])
			}
		}
	}
	if most < 500 {
		t.Errorf("got %d calls that waited at once, want hundreds", most)
	}
	if n := answers["SIP/2.0 500 Server Internal Error"]; n < calls*others || answers["SIP/2.0 100 Trying"] == 0 {
		t.Errorf("got %v, want 500 for each of %d calls to other domains", answers, calls*others)
	}
	for line := range answers {
		if line != "SIP/2.0 500 Server Internal Error" && line != "SIP/2.0 100 Trying" {
			t.Errorf("got %q, want 100 and 500 alone", line)
		}
	}
}

// TestTooManyLookUps: ten thousand calls wait for silent name servers; the next one is answered 500 with Retry-After at once (RFC
// 3261 21.5.1). It is no 503, which would keep its phone from calling anybody here. Local calls go on.
func TestTooManyLookUps(t *testing.T) {
	onRig(t, bobAndForeign, func(r *rig) {
		r.silence()
		caller, late, bob := r.host("10.0.0.2"), r.host("10.0.0.3"), r.host("10.0.0.11")
		for i := range 10_000 {
			r.bulk(caller, foreign(fmt.Sprintf("d%d.example", i%1000), i))
		}
		synctest.Wait()
		if got := caller.Take(); len(got) != 0 {
			r.Errorf("got %d answers, want that ten thousand calls wait", len(got))
		}
		r.bulk(late, strings.Replace(foreign("d0.example", 10_000), "10.0.0.1;", "10.0.0.3;", 1))
		m := r.arrived(late, "SIP/2.0 500 ")
		if header(m[0], "Retry-After") != "5" {
			r.Errorf("got %q, want Retry-After: 5", m[0])
		}
		r.bulk(late, strings.Replace(foreign("10.0.0.11", 10_001), "10.0.0.1;", "10.0.0.3;", 1))
		r.arrived(bob, "INVITE ") // An address needs no look-up.
		if got := r.localCalls(1, func(int) {}); got[0] != (took{}) {
			r.Errorf("a local call: got %+v, want no time in virtual time", got[0])
		}
		r.wait(30 * time.Second)
		busy, silent := 0, 0
		for _, a := range caller.Take() {
			text := strings.ReplaceAll(string(a.Data), "\r\n", "\n")
			switch {
			case strings.HasPrefix(text, "SIP/2.0 500 ") && header(text, "Retry-After") == "5":
				busy++
			case strings.HasPrefix(text, "SIP/2.0 500 "):
				silent++
			}
		}
		// Each final response is sent again until its ACK comes (17.2.1), of which there are none here.
		if busy == 0 || silent == 0 || busy+silent < 10_000 {
			r.Errorf("got %d refused for having waited too long, %d without an answer of the name servers, want ten thousand in all", busy, silent)
		}
	})
}
