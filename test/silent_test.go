package test

import (
	"errors"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var wholeSilence = flag.Bool("silence", false, "TestSilentNameServer in full length, with its bound of 1.5 times (docs/performance.md), instead of the short form")

// TestSilentNameServer has local calls answered while hundreds of calls to other domains wait for a name server that has become silent.
// The short form shows that nobody waits with them; the full one, on a machine with nothing else to do, that 99 % of local calls are answered
// within 1.5 times what they take when it answers.
func TestSilentNameServer(t *testing.T) {
	length, rate, elsewhere, rounds := time.Second, 200, 200, 1
	if *wholeSilence {
		length, rate, elsewhere, rounds = 10*time.Second, 500, 100, 5
	}
	name := newMuteServer(t)
	db := sqliteIn(t.TempDir())
	addr := freePort(t)
	sipd := built(t, "sipd")
	run(t, sipd, "db", "migrate", "-D", db.url)
	run(t, sipd, "domain", "add", "example.com", "-D", db.url)
	for _, user := range []string{"alice@example.com", "bob@example.com"} {
		run(t, sipd, "user", "add", user, "-D", db.url)
	}
	startServer(t, nil, db, "--listen", "udp:"+addr.String(), "--set", "AuthMethod=none", "--set", "RequestLog=none", "--set", "RateLimit=off",
		"--set", "Resolver="+name.conn.LocalAddr().String())
	phone, err := dialClient(addr)
	if err != nil {
		t.Fatal(err)
	}
	var answering sync.WaitGroup
	defer answering.Wait()
	defer phone.conn.Close()
	contact := fmt.Sprintf("Contact: <sip:bob@%v>\r\n", phone.conn.LocalAddr())
	if status, text := phone.do(request{"REGISTER", "sip:example.com", "bob@example.com", "register", 1, contact}, 10*time.Second); status != 200 {
		t.Fatalf("REGISTER: got %d %s", status, text)
	}
	answering.Go(func() {
		reading(phone.conn, func(text string) {
			if strings.HasPrefix(text, "INVITE ") {
				phone.conn.Write([]byte(answerTo(text, "486 Busy Here")))
			}
		})
	})

	var alone, answered, silent []spread
	for range rounds {
		name.silent.Store(false)
		if *wholeSilence {
			alone = append(alone, load(t, addr, length, rate, 0))
		}
		answered = append(answered, load(t, addr, length, rate, elsewhere))
		name.silent.Store(true)
		silent = append(silent, load(t, addr, length, rate, elsewhere))
	}
	for _, of := range []struct {
		what string
		list []spread
	}{{"alone", alone}, {"the name server answers", answered}, {"it is silent", silent}} {
		for _, x := range of.list {
			t.Logf("%d local calls/s, %d/s elsewhere, %s: 50 %% within %v, 99 %% within %v, %d waited at once", rate, elsewhere, of.what, x.p50, x.p99, x.waiting)
		}
	}
	for _, x := range silent {
		if want := elsewhere * 3 / 4; x.waiting < want { // Each waits for 3 s.
			t.Errorf("got %d calls that waited at once, want %d at least", x.waiting, want)
		}
	}
	byP99 := func(a, b spread) int { return int(a.p99 - b.p99) }
	before, after := slices.MinFunc(answered, byP99).p99, slices.MinFunc(silent, byP99).p99
	limit := 200 * time.Millisecond // whatever else this machine does; who waits for a name server waits for seconds
	if *wholeSilence {
		limit = 0
	}
	if after > limit && after > before*3/2 {
		t.Errorf("99 %% of local calls were answered within %v while the name server is silent, want 1.5 times %v at most", after, before)
	}
}

// muteServer knows no name at all, or says nothing.
type muteServer struct {
	conn   *net.UDPConn
	silent atomic.Bool
}

func newMuteServer(t *testing.T) *muteServer {
	t.Helper()
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	s := &muteServer{conn: conn}
	var serving sync.WaitGroup
	serving.Go(func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			if n >= 4 && !s.silent.Load() {
				buf[2], buf[3] = buf[2]|0x80, 0x83 // RFC 1035 4.1.1: an answer, and that the name does not exist
				conn.WriteToUDPAddrPort(buf[:n], from)
			}
		}
	})
	t.Cleanup(func() { conn.Close(); serving.Wait() })
	return s
}

// spread is how long local calls took until their final response, and how many others waited meanwhile.
type spread struct {
	p50, p99 time.Duration
	waiting  int
}

// load makes local calls at a rate, whatever becomes of them, and others to other domains, each to another one.
func load(t *testing.T, server netip.AddrPort, length time.Duration, rate, elsewhere int) (s spread) {
	t.Helper()
	var mu sync.Mutex
	began, waiting := map[string]time.Time{}, map[string]bool{}
	var tooks []time.Duration
	var readers sync.WaitGroup
	dial := func() *client {
		c, err := dialClient(server)
		if err != nil {
			t.Fatal(err)
		}
		readers.Go(func() {
			reading(c.conn, func(text string) {
				if !strings.HasPrefix(text, "SIP/2.0 ") || strings.HasPrefix(text, "SIP/2.0 1") {
					return
				}
				c.conn.Write([]byte(ackTo(text)))
				mu.Lock()
				defer mu.Unlock()
				id := headerOf(text, "Call-ID")
				if at, ok := began[id]; ok {
					tooks = append(tooks, time.Since(at))
					delete(began, id)
				}
				delete(waiting, id)
			})
		})
		return c
	}
	local, other := dial(), dial()
	invite := func(c *client, uri, id string) {
		fmt.Fprintf(c.conn, "INVITE %s SIP/2.0\r\nVia: SIP/2.0/UDP %v;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=a\r\nTo: <%s>\r\n"+
			"Call-ID: %s\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@%v>\r\nContent-Length: 0\r\n\r\n", uri, c.conn.LocalAddr(), id, uri, id, c.conn.LocalAddr())
	}
	n := int(length.Seconds() * float64(rate))
	begin := time.Now()
	for i := range n {
		time.Sleep(time.Until(begin.Add(time.Duration(i) * time.Second / time.Duration(rate))))
		id := fmt.Sprintf("l%d-%d", i, begin.UnixNano())
		mu.Lock()
		began[id] = time.Now()
		mu.Unlock()
		invite(local, "sip:bob@example.com", id)
		if i*elsewhere/rate != (i+1)*elsewhere/rate {
			id = "o" + id
			mu.Lock()
			waiting[id] = true
			s.waiting = max(s.waiting, len(waiting))
			mu.Unlock()
			invite(other, "sip:carol@d"+id+".example:5060", id)
		}
	}
	eventually(t, 10*time.Second, "every call is answered", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(began)+len(waiting) == 0
	})
	local.conn.Close()
	other.conn.Close()
	readers.Wait()
	slices.Sort(tooks)
	s.p50, s.p99 = tooks[n/2], tooks[n*99/100]
	return s
}

// reading calls each with every datagram that comes until the socket is closed.
func reading(conn *net.UDPConn, each func(text string)) {
	conn.SetReadDeadline(time.Time{}) // client.do has set one.
	buf := make([]byte, 65536)
	for {
		n, err := conn.Read(buf)
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err == nil:
			each(string(buf[:n]))
		}
	}
}

// headerOf returns the value of the first line of a header.
func headerOf(text, name string) string {
	_, after, _ := strings.Cut(text, "\r\n"+name+": ")
	value, _, _ := strings.Cut(after, "\r\n")
	return value
}

// answerTo is the response of a phone to an INVITE.
func answerTo(text, status string) string {
	answer := "SIP/2.0 " + status + "\r\n"
	for _, line := range strings.Split(text, "\r\n") {
		switch name, _, _ := strings.Cut(line, ":"); name {
		case "Via", "From", "Call-ID", "CSeq":
			answer += line + "\r\n"
		case "To":
			answer += line + ";tag=phone\r\n"
		}
	}
	return answer + "Content-Length: 0\r\n\r\n"
}

// ackTo is the ACK to a failure (RFC 3261 17.1.1.3).
func ackTo(text string) string {
	uri, _, _ := strings.Cut(strings.TrimPrefix(headerOf(text, "To"), "<"), ">")
	return "ACK " + uri + " SIP/2.0\r\nVia: " + headerOf(text, "Via") + "\r\nMax-Forwards: 70\r\nFrom: " + headerOf(text, "From") + "\r\nTo: " + headerOf(text, "To") +
		"\r\nCall-ID: " + headerOf(text, "Call-ID") + "\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n"
}
