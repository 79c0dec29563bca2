package main

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inFlight is how many calls ring while the tables change.
const inFlight = 50

// wire is an end of calls that speaks as much SIP as it must.
type wire struct {
	t  *testing.T
	c  net.PacketConn
	to net.Addr // the server
}

func newWire(t *testing.T, server string) *wire {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	to, err := net.ResolveUDPAddr("udp", server)
	if err != nil {
		t.Fatal(err)
	}
	return &wire{t, c, to}
}

func (w *wire) send(text string) {
	w.t.Helper()
	if _, err := w.c.WriteTo([]byte(text), w.to); err != nil {
		w.t.Fatal(err)
	}
}

// request sends one of a call. route and target are what the 200 has told, for a request within the call.
func (w *wire) request(method, target, route, call, toTag string, cseq int) {
	w.t.Helper()
	w.send(fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s%s;rport\r\n%sFrom: <sip:x@elsewhere.invalid>;tag=1\r\nTo: <sip:95551234@example.com>%s\r\n"+
		"Call-ID: %s\r\nCSeq: %d %s\r\nMax-Forwards: 70\r\nContact: <sip:x@%s>\r\nContent-Length: 0\r\n\r\n",
		method, target, w.c.LocalAddr(), method, call, route, toTag, call, cseq, method, w.c.LocalAddr()))
}

var copied = regexp.MustCompile(`(?m)^(Via|Record-Route|From|To|Call-ID|CSeq): .*\r\n`)

// answer responds to a request; To gets the tag g.
func (w *wire) answer(request, status string) {
	w.t.Helper()
	head := strings.Join(copied.FindAllString(request, -1), "")
	head = regexp.MustCompile(`(?m)^(To: [^;\r]*)\r`).ReplaceAllString(head, "$1;tag=g\r")
	w.send("SIP/2.0 " + status + "\r\n" + head + "Contact: <sip:g@" + w.c.LocalAddr().String() + ">\r\nContent-Length: 0\r\n\r\n")
}

// collect reads until n calls have brought a message that begins with start, and returns these by Call-ID.
func (w *wire) collect(start string, n int) map[string]string {
	w.t.Helper()
	got := map[string]string{}
	buf := make([]byte, 4096)
	if err := w.c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		w.t.Fatal(err)
	}
	for len(got) < n {
		size, _, err := w.c.ReadFrom(buf)
		if err != nil {
			w.t.Fatalf("%d of %d calls have brought %q: %v", len(got), n, start, err)
		}
		if text := string(buf[:size]); strings.HasPrefix(text, start) {
			got[header(text, "Call-ID")] = text
		}
	}
	return got
}

func header(text, name string) string {
	for line := range strings.Lines(text) {
		if value, has := strings.CutPrefix(line, name+": "); has {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// TestReloadLeavesCalls: calls that ring at a gateway are answered, confirmed and ended there though dial plan, gateway map and gateway are
// others by then and the server has been told to read all tables again; the next call goes by the new ones.
func TestReloadLeavesCalls(t *testing.T) {
	d := database(t)
	r := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", "off")
	server := strings.TrimPrefix(r.addrs[0], "udp:")
	caller, first, second := newWire(t, server), newWire(t, server), newWire(t, server)
	must(t, "class", "add", "staff", d)
	must(t, "gateway", "add", "exchange", "sip:192.0.2.9", "--net", "127.0.0.1", "--class", "staff", "--probe", "-1", d) // Its calls are believed.
	must(t, "gateway", "add", "gw", "sip:"+first.c.LocalAddr().String(), "--probe", "-1", d)
	must(t, "gateway", "add", "gw2", "sip:"+second.c.LocalAddr().String(), "--probe", "-1", d)
	must(t, "dialplan", "add", "(9)???????", "tel:+1212$", d)
	must(t, "gatewaymap", "add", "(+1212)???????", "staff", "sip:$@gw", d)
	number := "sip:95551234@example.com"
	reaches := func(w *wire, what string) {
		t.Helper()
		n := 0
		eventually(t, what, func() bool {
			n++
			caller.request("OPTIONS", number, "", fmt.Sprintf("%s-%d", strings.Fields(what)[0], n), "", 1) // As a call, and needs no ACK.
			if err := w.c.SetReadDeadline(time.Now().Add(200 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			buf := make([]byte, 4096)
			size, _, err := w.c.ReadFrom(buf)
			if err == nil {
				w.answer(string(buf[:size]), "200 OK")
			}
			return err == nil
		})
	}
	reaches(first, "tables are read")
	for i := range inFlight {
		caller.request("INVITE", number, "", fmt.Sprintf("flight-%d", i), "", 1)
	}
	ringing := map[string]string{}
	for len(ringing) < inFlight {
		for call, text := range first.collect("INVITE ", 1) {
			if strings.HasPrefix(call, "flight-") && ringing[call] == "" {
				ringing[call] = text
				first.answer(text, "180 Ringing")
			}
		}
	}
	must(t, "dialplan", "rm", "1", d)
	must(t, "gatewaymap", "rm", "1", d)
	must(t, "gateway", "rm", "gw", d)
	must(t, "dialplan", "add", "(9)???????", "tel:+1646$", d)
	must(t, "gatewaymap", "add", "(+1646)???????", "staff", "sip:$@gw2", d)
	r.signals <- os.Signal(syscall.SIGHUP)
	reaches(second, "others are in force")
	for _, text := range ringing {
		first.answer(text, "200 OK")
	}
	finals := map[string]string{}
	for len(finals) < inFlight {
		for call, text := range caller.collect("SIP/2.0 200", 1) {
			if strings.HasPrefix(call, "flight-") {
				finals[call] = text
			}
		}
	}
	contact := "sip:g@" + first.c.LocalAddr().String()
	for call, text := range finals {
		route := "Route: " + header(text, "Record-Route") + "\r\n"
		caller.request("ACK", contact, route, call, ";tag=g", 1)
		caller.request("BYE", contact, route, call, ";tag=g", 2)
	}
	acks, byes := map[string]bool{}, map[string]bool{}
	for len(acks) < inFlight || len(byes) < inFlight {
		for call, text := range first.collect("", 1) {
			switch {
			case strings.HasPrefix(text, "ACK ") && strings.HasPrefix(call, "flight-"):
				acks[call] = true
			case strings.HasPrefix(text, "BYE "):
				byes[call] = true
				first.answer(text, "200 OK")
			}
		}
	}
}
