package test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/store/storetest"
)

// talkTime is long enough for a second of tone both ways on a loaded machine.
const talkTime = 3 * time.Second

// TestPhones lets baresip and linphone call each other through a server that a new user would have, on either database.
func TestPhones(t *testing.T) {
	for _, name := range []string{"sqlite", "postgres"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			need(t, "baresip", "linphonec")
			ns := newNamespace(t)
			var db *database
			var users accounts
			switch name {
			case "sqlite":
				db, users = quickstart(t, ns, t.TempDir(), "alice", "bob")
			case "postgres":
				db, users = fillPostgres(t, storetest.DurablePostgres(t), "alice", "bob")
			}
			calls(t, ns, db, users)
		})
	}
}

// calls is the morning of an office: everybody registers, all kinds of calls, everybody leaves. The request log must have
// each request of it once.
func calls(t *testing.T, ns *namespace, db *database, users accounts) {
	server := startServer(t, ns, db)
	alice := startBaresip(t, ns, 1, users["alice"], toneAlice, overUDP)
	bob := startLinphone(t, ns, 2, users["bob"], toneBob, overUDP)
	alice.registered(t)
	bob.registered(t)
	want := map[string]int{}
	step := stepOf(t)
	aliceURI, bobURI := users["alice"].uri(), users["bob"].uri()

	everyCall(step, alice, bob, aliceURI, bobURI, want)
	step("busy", func(t *testing.T) {
		bob.call(t, aliceURI)
		alice.ringing(t)
		alice.hangUp(t) // baresip refuses with 486.
		bob.wait(t, phoneStep, `SIP/2\.0 486`)
		bob.idle(t)
		alice.idle(t)
		want["INVITE 486"]++
	})
	step("cancelled", func(t *testing.T) {
		alice.call(t, bobURI)
		bob.ringing(t)
		alice.hangUp(t)
		alice.idle(t)
		bob.idle(t)
		want["INVITE 487"]++
		want["CANCEL 200"]++
	})
	step("forked", func(t *testing.T) {
		second := startBaresip(t, ns, 3, users["bob"], toneBob, overUDP)
		second.registered(t)
		alice.call(t, bobURI)
		bob.ringing(t)
		second.ringing(t)
		bob.answer(t)
		alice.talking(t)
		bob.talking(t)
		second.idle(t)
		cancel := message(second.trace(t), "CANCEL ")
		if !strings.Contains(cancel, `Reason: SIP;cause=200;text="Call completed elsewhere"`) {
			t.Errorf("the phone that lost got this CANCEL, want a Reason with cause=200:\n%s", cancel)
		}
		time.Sleep(talkTime)
		alice.hangUp(t)
		bob.idle(t)
		alice.idle(t)
		wantTone(t, "alice", alice.heard(t), toneBob, toneAlice)
		wantTone(t, "bob", bob.heard(t), toneAlice, toneBob)
		want["INVITE 200"]++
		want["BYE 200"]++
		second.quit(t)
	})
	alice.quit(t)
	bob.quit(t)
	if err := server.stop(15 * time.Second); err != nil {
		t.Errorf("sipd: %v", err)
	}
	checkLog(t, db, want, 6) // Three phones came and went.
}

// everyCall lets two phones call and hear each other; caller and callee hang up in turn.
func everyCall(step func(string, func(*testing.T)), alice, bob phone, aliceURI, bobURI string, want map[string]int) {
	for _, c := range []struct {
		name           string
		caller, callee phone
		uri            string
		tone, other    float64
		ends           phone
	}{
		{"alice calls bob and hangs up", alice, bob, bobURI, toneAlice, toneBob, alice},
		{"bob calls alice and hangs up", bob, alice, aliceURI, toneBob, toneAlice, bob},
		{"bob calls alice, who hangs up", bob, alice, aliceURI, toneBob, toneAlice, alice},
		{"alice calls bob, who hangs up", alice, bob, bobURI, toneAlice, toneBob, bob},
	} {
		step(c.name, func(t *testing.T) {
			talk(t, c.caller, c.callee, c.uri, c.tone, c.other)
			c.ends.hangUp(t)
			bob.idle(t)
			alice.idle(t)
			want["INVITE 200"]++
			want["BYE 200"]++
		})
	}
}

// connect makes a call that is answered.
func connect(t *testing.T, caller, callee phone, uri string) {
	t.Helper()
	caller.call(t, uri)
	callee.ringing(t)
	callee.answer(t)
	caller.talking(t)
	callee.talking(t)
}

// talk makes a call that both ends hear.
func talk(t *testing.T, caller, callee phone, uri string, callerTone, calleeTone float64) {
	t.Helper()
	connect(t, caller, callee, uri)
	time.Sleep(talkTime)
	t.Cleanup(func() { // After the hang-up: the recorders finish their files then.
		wantTone(t, "caller", caller.heard(t), calleeTone, callerTone)
		wantTone(t, "callee", callee.heard(t), callerTone, calleeTone)
	})
}

// message cuts the first message that begins with start from a trace.
func message(trace, start string) string {
	for i := 0; ; {
		at := strings.Index(trace[i:], start)
		if at < 0 {
			return ""
		}
		i += at
		text := strings.ReplaceAll(trace[i:], "\r\n", "\n")
		head, _, ok := strings.Cut(text, "\n\n")
		if first, _, _ := strings.Cut(head, "\n"); ok && strings.HasSuffix(first, " SIP/2.0") {
			return head
		}
		i += len(start)
	}
}

// checkLog compares the request log with what was done: the calls exactly, registrations at least so many, each once.
func checkLog(t *testing.T, db *database, want map[string]int, fewest int) {
	t.Helper()
	got, seen := map[string]int{}, map[string]bool{}
	registers := 0
	db.query(t, "SELECT method, sip_status, sip_callid, cseq, sip_from, sip_to FROM requestlog ORDER BY request_time", func(c []string) {
		method, status := c[0], c[1]
		request := strings.Join([]string{method, c[2], c[3], c[4]}, " ")
		if seen[request] {
			t.Errorf("the request log has this request twice: %v", c)
		}
		seen[request] = true
		if !strings.HasPrefix(c[4], "sip:") || !strings.HasPrefix(c[5], "sip:") {
			t.Errorf("the request log has From %q and To %q, want bare URIs", c[4], c[5])
		}
		if method == "REGISTER" {
			if registers++; status != "200" {
				t.Errorf("the request log has %v, want no REGISTER but with 200", c)
			}
			return
		}
		got[method+" "+status]++
	})
	if !maps.Equal(got, want) {
		t.Errorf("the request log has %v, want %v", sorted(got), sorted(want))
	}
	if registers < fewest {
		t.Errorf("the request log has %d rows of REGISTER, want at least %d", registers, fewest)
	}
}

func sorted(m map[string]int) (list []string) {
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list = append(list, fmt.Sprintf("%d x %s", m[k], k))
	}
	return list
}
