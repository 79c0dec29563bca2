package server_test

import (
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/internal/siptest"
	"sipd/internal/siptest/flow"
	"sipd/store"
)

// rig is a server whose peers send what no phone would, in virtual time: for what call flows cannot say.
type rig struct {
	*testing.T
	net    *siptest.Net
	system *siptest.System
}

// onRig runs f against a server with the users and peers of a flow.
func onRig(t *testing.T, head string, f func(r *rig)) {
	t.Helper()
	onFaultyRig(t, head, nil, 0, f)
}

// onFaultyRig is onRig on top of startFaulty.
func onFaultyRig(t *testing.T, head string, fault func(store.LogRow), panics int64, f func(r *rig)) {
	t.Helper()
	parsed, err := flow.Parse(t.Name(), "# RFC 3261 16: "+t.Name()+"\n"+head+"\nquiet 1s\n")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := siptest.NewNet(siptest.ServerAddr, siptest.ServerAddr6)
		r := &rig{T: t, net: n, system: startFaulty(t, n, parsed, fault, panics)}
		defer func() { r.system.Stop() }()
		synctest.Wait()
		f(r)
	})
}

func (r *rig) host(addr string) *siptest.Host {
	return r.net.Host(netip.MustParseAddrPort(addr + ":5060"))
}

// send sends a message whose lines end as Go's do.
func (r *rig) send(h *siptest.Host, text string) {
	r.Helper()
	if err := h.Send([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		r.Fatal(err)
	}
	synctest.Wait()
}

// arrived returns what came to h, and fails unless the first lines begin as wanted.
func (r *rig) arrived(h *siptest.Host, want ...string) (messages []string) {
	r.Helper()
	synctest.Wait()
	for _, a := range h.Take() {
		messages = append(messages, strings.ReplaceAll(string(a.Data), "\r\n", "\n"))
	}
	ok := len(messages) == len(want)
	for i := 0; ok && i < len(want); i++ {
		ok = strings.HasPrefix(messages[i], want[i])
	}
	if !ok {
		var got []string
		for _, m := range messages {
			line, _, _ := strings.Cut(m, "\n")
			got = append(got, line)
		}
		r.Fatalf("%v got %q, want %q", h.Addr, got, want)
	}
	return messages
}

// wait lets virtual time go by.
func (r *rig) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// request writes a request of the caller at 10.0.0.1; more is further header lines, each with its line end.
func request(method, uri, callID, more string) string {
	return fmt.Sprintf("%s %s SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK-%s\nMax-Forwards: 70\n"+
		"From: <sip:alice@elsewhere.example>;tag=alice\nTo: <sip:bob@example.org>\nCall-ID: %s\nCSeq: 1 %s\n"+
		"Contact: <sip:alice@10.0.0.1>\n%sContent-Length: 0\n\n", method, uri, callID, callID, method, more)
}

// response writes the response of a phone to a request that it got. vias says how many of its Via lines come back.
func response(req, status string, vias int) string {
	var b bytes.Buffer
	b.WriteString("SIP/2.0 " + status + "\n")
	for line := range strings.Lines(req) {
		name, _, _ := strings.Cut(line, ":")
		switch name {
		case "Via":
			if vias--; vias >= 0 {
				b.WriteString(line)
			}
		case "To":
			b.WriteString(strings.TrimSuffix(line, "\n"))
			if !strings.Contains(line, ";tag=") {
				b.WriteString(";tag=phone")
			}
			b.WriteString("\n")
		case "From", "Call-ID", "CSeq", "Record-Route":
			b.WriteString(line)
		}
	}
	b.WriteString("Contact: <sip:bob@10.0.0.11>\nContent-Length: 0\n\n")
	return b.String()
}

// unused says that nothing is left of what was tried.
func (r *rig) unused() {
	r.Helper()
	if servers, clients := r.system.Transactions(); servers != 0 || clients != 0 {
		r.Errorf("%d server and %d client transactions are left, want none", servers, clients)
	}
}

const bobAtHome = "user bob\npeer alice 10.0.0.1\npeer bob1 10.0.0.11 bob bound"
