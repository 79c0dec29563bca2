package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sipd/config"
	"sipd/location"
	"sipd/server/message"
	"sipd/server/transaction"
	"sipd/server/transport"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
)

// plant is a server in virtual time whose network keeps nothing but what a test takes from it: for tests that count what is left
// of a hundred thousand messages.
type plant struct {
	*testing.T
	server  *Server
	wires   *wires
	stop    func()
	grave   atomic.Bool // the request log panics
	logged  atomic.Int64
	stopped bool
}

// wires is a network in memory.
type wires struct {
	receiver transport.Receiver
	keep     atomic.Bool // what is sent, for take
	poisoned atomic.Bool // the way to poisonAddr is a panic, and the one to largeAddr by TCP
	bobGone  atomic.Bool // what is sent to bobAddr fails

	mu  sync.Mutex
	got []arrival
}

// arrival is a message that the server sent.
type arrival struct {
	to   netip.AddrPort
	data []byte
}

var (
	poisonAddr  = netip.MustParseAddrPort("10.9.0.1:5060")
	largeAddr   = netip.MustParseAddrPort("10.7.0.1:5060")
	refusedAddr = netip.MustParseAddrPort("10.8.0.1:5060")
	errRefused  = errors.New("connection refused")
)

func (w *wires) Run(ctx context.Context, r transport.Receiver) error {
	w.receiver = r
	<-ctx.Done()
	return ctx.Err()
}

func (w *wires) NewOut() *transport.Out {
	return transport.NewOut(func(o *transport.Out, packets []transport.Packet) {
		for _, p := range packets {
			switch {
			case p.To.Remote == refusedAddr, p.To.Remote == bobAddr && w.bobGone.Load():
				w.receiver.SendFailed(o, p.Ref, errRefused)
			case w.keep.Load():
				w.mu.Lock()
				w.got = append(w.got, arrival{p.To.Remote, bytes.Clone(p.Data)})
				w.mu.Unlock()
			}
		}
	})
}

func (w *wires) Source(proto transport.Proto, to netip.Addr) (netip.AddrPort, bool) {
	if w.poisoned.Load() && (to == poisonAddr.Addr() || to == largeAddr.Addr() && proto == transport.TCP) {
		panic("a fault on the way to a phone")
	}
	return proxyAddr, true
}

func (w *wires) Own(a netip.AddrPort) bool                         { return a == proxyAddr }
func (w *wires) Certificates(transport.ConnID) []*x509.Certificate { return nil }
func (w *wires) Alias(transport.ConnID, []byte, uint16)            {}

// homes are the contacts of the users: user, address, q in thousandths.
var homes = []struct {
	user string
	addr netip.AddrPort
	q    uint16
}{
	{"bob", bobAddr, 1000},
	{"fork", netip.MustParseAddrPort("10.2.0.1:5060"), 1000},
	{"fork", netip.MustParseAddrPort("10.2.0.2:5060"), 1000},
	{"fork", netip.MustParseAddrPort("10.2.0.3:5060"), 1000},
	{"refused", refusedAddr, 1000},
	{"poison", poisonAddr, 1000},
	{"serial", netip.MustParseAddrPort("10.4.0.1:5060"), 1000},
	{"serial", poisonAddr, 500},
	{"large", largeAddr, 0}, // written by an administrator
}

// housed is a store whose users are at home.
type housed struct {
	*storetest.Mem
	users map[string]int64
}

func (h housed) LoadBindings(_ context.Context, each func(sipaddr.AOR, *location.Binding) error) error {
	for i, b := range homes {
		row := &location.Binding{ID: int64(i + 1), UserID: h.users[b.user], URI: fmt.Sprintf("sip:%s@%v", b.user, b.addr), Q: int(b.q), CallID: "home",
			CSeq: 1, Source: b.addr}
		if b.q > 0 {
			row.Expires = location.At(time.Now().Add(24 * time.Hour))
		}
		if err := each(sipaddr.AOR(b.user+"@example.org"), row); err != nil {
			return err
		}
	}
	return nil
}

// onPlant runs f against a server in a bubble.
func onPlant(t *testing.T, settings map[string]string, f func(p *plant)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		mem := storetest.New()
		h := housed{mem, map[string]int64{}}
		ctx := context.WithoutCancel(t.Context())
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(mem.AddDomain(ctx, &store.Domain{Name: "example.org"}))
		for _, name := range []string{"bob", "fork", "refused", "poison", "serial", "large", "away"} {
			row := store.User{Key: sipaddr.AOR(name + "@example.org"), Realm: "example.org", AuthPolicy: store.Never}
			must(mem.AddUser(ctx, &row, nil))
			h.users[name] = row.ID
		}
		var values []config.Value
		for name, value := range settings {
			values = append(values, config.Value{Source: "test", Name: name, Args: []string{value}})
		}
		tables, err := cache.New(cache.Config{Store: mem, Overrides: [][]config.Value{values}})
		must(err)
		must(tables.Refresh(ctx))
		p := &plant{T: t, wires: &wires{}}
		loc, err := location.New(location.Config{Store: h, Flush: func() { p.server.Flush() }})
		must(err)
		must(loc.Load(ctx))
		p.server, err = New(Config{Net: p.wires, Tables: tables.Snapshot, Location: loc, RequestLog: p.record, Log: slog.New(slog.DiscardHandler)})
		must(err)
		serve, stopServer := context.WithCancel(ctx)
		locate, stopLocation := context.WithCancel(ctx)
		served, located := make(chan error, 1), make(chan error, 1)
		go func() { served <- p.server.Run(serve) }()
		go func() { located <- loc.Run(locate) }()
		p.stop = func() {
			if p.stopped {
				return
			}
			p.stopped = true
			stopServer()
			if err := <-served; err != nil {
				t.Errorf("server.Run: %v", err)
			}
			stopLocation()
			<-located
		}
		defer func() { p.stop() }()
		synctest.Wait()
		f(p)
	})
}

func (p *plant) record(store.LogRow) {
	if p.grave.Load() {
		panic("the request log is broken")
	}
	p.logged.Add(1)
}

// receive hands the server a datagram in a buffer that is spoilt afterwards.
func (p *plant) receive(from netip.AddrPort, data []byte) {
	buf := bytes.Clone(data)
	out := p.wires.NewOut()
	func() {
		defer func() { _ = recover() }() // As package transport does; the server has counted it.
		p.server.Receive(out, transport.Flow{Remote: from, Local: proxyAddr}, buf)
	}()
	for i := range buf {
		buf[i] = '#'
	}
	out.Flush()
}

// take returns what the server has sent since the last call.
func (p *plant) take() []arrival {
	synctest.Wait()
	p.wires.mu.Lock()
	defer p.wires.mu.Unlock()
	got := p.wires.got
	p.wires.got = nil
	return got
}

// took looks for a message that begins with start at an address; nil when there is none.
func took(got []arrival, to netip.AddrPort, start string) []byte {
	for _, a := range got {
		if a.to == to && bytes.HasPrefix(a.data, []byte(start)) {
			return a.data
		}
	}
	return nil
}

// wait lets virtual time go by.
func (p *plant) wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// held is everything that a server holds for transactions.
type held struct {
	Status
	transaction.Pools
}

func (p *plant) held() held {
	h := held{p.server.Status(), p.server.transactions.Pools()}
	h.Panics, h.Dropped = 0, 0
	// Structs kept for reuse are bounded, and no leak.
	h.FreeServers, h.FreeClients, h.FreeCancels, h.FreeRequests, h.FreeBuffers = 0, 0, 0, 0, 0
	return h
}

// empty fails unless everything taken was given back.
func (p *plant) empty() {
	p.Helper()
	synctest.Wait()
	if got := p.held(); got != (held{}) {
		p.Errorf("left behind: %+v, want nothing", got)
	}
}

// invite is an INVITE to a user.
func invite(user string, n int) []byte {
	return fmt.Appendf(nil, "INVITE sip:%s@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\nFrom: <sip:alice@elsewhere.example>;tag=a\r\nTo: <sip:%s@example.org>\r\nCall-ID: call-%d\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@10.0.0.10>\r\nContent-Length: %d\r\n\r\n%s", user, n, user, n, len(sdp), sdp)
}

// follow turns an INVITE of invite into its CANCEL or the ACK of a failure.
func follow(invite []byte, method string) []byte {
	head, _, _ := strings.Cut(string(invite), "\r\n\r\n")
	head = strings.ReplaceAll(head, "INVITE", method)
	head = strings.Replace(head, fmt.Sprintf("Content-Length: %d", len(sdp)), "Content-Length: 0", 1)
	return []byte(head + "\r\n\r\n")
}

// answer is a phone's response to a request as it got it.
func (p *plant) answer(phone netip.AddrPort, req []byte, status int) {
	p.Helper()
	var m message.Message
	if err := m.Index(req); err != nil {
		p.Fatalf("the phone %v got %q: %v", phone, req, err)
	}
	tag := []byte("t" + phone.Addr().String())
	p.receive(phone, message.AppendResponse(nil, &m, status, "", tag, []message.Field{{Name: "Contact", Value: []byte("<sip:p@" + phone.String() + ">")}}, nil))
}

// TestNoGoroutinePerCall compares a server with nothing to do and with five thousand calls in progress.
func TestNoGoroutinePerCall(t *testing.T) {
	const calls = 5000
	onPlant(t, nil, func(p *plant) {
		before := runtime.NumGoroutine()
		p.wires.keep.Store(true)
		var ringing [][]byte
		for i := range calls {
			p.receive(aliceAddr, invite("bob", i))
			req := took(p.take(), bobAddr, "INVITE")
			if req == nil {
				t.Fatalf("INVITE %d did not arrive", i)
			}
			p.answer(bobAddr, req, 180)
			ringing = append(ringing, req)
		}
		p.take()
		p.wait(3 * time.Second)
		p.take()
		if got := p.server.Oldest(); got < 3*time.Second || got > 4*time.Second {
			t.Errorf("the oldest transaction is %v old, want 3 s", got)
		}
		if got := p.held(); got.OpenRequests != calls || got.ServerTransactions != calls || got.ClientTransactions != calls {
			t.Fatalf("got %+v, want %d calls", got, calls)
		}
		if after := runtime.NumGoroutine(); after > before { // One of an earlier test's may have ended meanwhile.
			t.Errorf("%d goroutines with %d calls in progress, %d with none; want no more", after, calls, before)
		}
		for _, req := range ringing {
			p.answer(bobAddr, req, 486)
		}
		p.take()
		p.wait(time.Minute)
		p.empty()
	})
}

// TestEveryEndOfACallGivesBack ends calls in all ways there are; when their timers are through, transactions, response contexts,
// request copies and buffers are where they came from.
func TestEveryEndOfACallGivesBack(t *testing.T) {
	const timerC = 3*time.Minute + 40*time.Second // with the CANCEL after it
	ring := func(p *plant, status int) (req []byte) {
		req = took(p.take(), bobAddr, "INVITE")
		if status != 0 {
			p.answer(bobAddr, req, status)
		}
		return req
	}
	register := []byte("REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10;branch=z9hG4bKr\r\nFrom: <sip:bob@example.org>;tag=r\r\nTo: <sip:bob@example.org>\r\nCall-ID: r\r\nCSeq: 7 REGISTER\r\nMax-Forwards: 70\r\nContact: <sip:bob@10.0.0.99>\r\nContent-Length: 0\r\n\r\n")
	for _, tt := range []struct {
		name, user string
		then       func(p *plant, inv []byte)
		panics     bool
	}{
		{"answered", "bob", func(p *plant, inv []byte) { p.answer(bobAddr, ring(p, 180), 200) }, false},
		{"answered twice", "bob", func(p *plant, inv []byte) {
			req := ring(p, 180)
			p.answer(bobAddr, req, 200)
			p.wait(2 * time.Second)
			p.answer(bobAddr, req, 200)
		}, false},
		{"busy, acknowledged", "bob", func(p *plant, inv []byte) {
			p.answer(bobAddr, ring(p, 180), 486)
			p.receive(aliceAddr, follow(inv, "ACK"))
		}, false},
		{"busy, no ACK", "bob", func(p *plant, inv []byte) { p.answer(bobAddr, ring(p, 0), 486) }, false},
		{"an answer without Via", "bob", func(p *plant, inv []byte) {
			p.receive(bobAddr, bytes.Replace(ring(p, 180), []byte("INVITE "), []byte("SIP/2.0 200 "), 1))
		}, false},
		{"cancelled while it rings", "bob", func(p *plant, inv []byte) {
			req := ring(p, 180)
			p.receive(aliceAddr, follow(inv, "CANCEL"))
			p.answer(bobAddr, took(p.take(), bobAddr, "CANCEL"), 200)
			p.answer(bobAddr, req, 487)
			p.receive(aliceAddr, follow(inv, "ACK"))
		}, false},
		{"cancelled, the phone answers all the same", "bob", func(p *plant, inv []byte) {
			req := ring(p, 180)
			p.receive(aliceAddr, follow(inv, "CANCEL"))
			p.answer(bobAddr, req, 200)
		}, false},
		{"cancelled, the phone says no more", "bob", func(p *plant, inv []byte) {
			ring(p, 180)
			p.receive(aliceAddr, follow(inv, "CANCEL"))
		}, false},
		{"cancelled before it rings", "bob", func(p *plant, inv []byte) {
			req := ring(p, 0)
			p.receive(aliceAddr, follow(inv, "CANCEL"))
			p.wait(time.Second)
			p.answer(bobAddr, req, 100)
			p.answer(bobAddr, req, 487)
		}, false},
		{"cancelled, nobody there", "bob", func(p *plant, inv []byte) { p.receive(aliceAddr, follow(inv, "CANCEL")) }, false},
		{"timed out", "bob", func(p *plant, inv []byte) {}, false},
		{"rings on", "bob", func(p *plant, inv []byte) { ring(p, 180) }, false},
		{"nobody registered", "away", func(p *plant, inv []byte) {}, false},
		{"nobody of that name", "nobody", func(p *plant, inv []byte) {}, false},
		{"forked, one answers", "fork", func(p *plant, inv []byte) {
			got := p.take()
			for i := 1; i < 4; i++ {
				p.answer(homes[i].addr, took(got, homes[i].addr, "INVITE"), 180)
			}
			p.answer(homes[2].addr, took(got, homes[2].addr, "INVITE"), 200)
			p.answer(homes[1].addr, took(got, homes[1].addr, "INVITE"), 487)
		}, false},
		{"forked, two answer", "fork", func(p *plant, inv []byte) {
			got := p.take()
			p.answer(homes[2].addr, took(got, homes[2].addr, "INVITE"), 200)
			p.answer(homes[3].addr, took(got, homes[3].addr, "INVITE"), 200)
		}, false},
		{"forked, all fail", "fork", func(p *plant, inv []byte) {
			got := p.take()
			for i, status := range []int{401, 407, 404} {
				p.answer(homes[1+i].addr, took(got, homes[1+i].addr, "INVITE"), status)
			}
		}, false},
		{"forked, one declines", "fork", func(p *plant, inv []byte) {
			got := p.take()
			for i, status := range []int{180, 180, 603} {
				p.answer(homes[1+i].addr, took(got, homes[1+i].addr, "INVITE"), status)
			}
		}, false},
		{"transport failure", "refused", func(p *plant, inv []byte) {}, false},
		{"transport failure later", "bob", func(p *plant, inv []byte) { p.wires.bobGone.Store(true) }, false},
		{"transport failure of the CANCEL", "bob", func(p *plant, inv []byte) {
			ring(p, 180)
			p.wires.bobGone.Store(true)
			p.receive(aliceAddr, follow(inv, "CANCEL"))
		}, false},
		{"transport failure of the ACK", "bob", func(p *plant, inv []byte) {
			req := ring(p, 180)
			p.wires.bobGone.Store(true)
			p.answer(bobAddr, req, 486)
		}, false},
		{"panic at the first phone", "poison", func(p *plant, inv []byte) {}, true},
		{"panic at a message too large for UDP", "large", func(p *plant, inv []byte) {}, true},
		{"panic at the second phone, the first is busy", "serial", func(p *plant, inv []byte) {
			p.answer(homes[6].addr, took(p.take(), homes[6].addr, "INVITE"), 486)
		}, true},
		{"panic at the second phone, the first rings", "serial", func(p *plant, inv []byte) {
			req := took(p.take(), homes[6].addr, "INVITE")
			p.answer(homes[6].addr, req, 180)
			p.wait(time.Minute)
			p.answer(homes[6].addr, req, 200)
		}, true},
		{"panic at the second phone, the first is dead", "serial", func(p *plant, inv []byte) {}, true},
		{"panic at the log of an answer", "bob", func(p *plant, inv []byte) {
			req := ring(p, 180)
			p.grave.Store(true)
			p.answer(bobAddr, req, 200)
		}, true},
		{"panic at the log of a failure", "bob", func(p *plant, inv []byte) {
			req := ring(p, 180)
			p.grave.Store(true)
			p.answer(bobAddr, req, 486)
		}, true},
		{"panic at the log of a cancellation", "bob", func(p *plant, inv []byte) {
			req := ring(p, 180)
			p.grave.Store(true)
			p.receive(aliceAddr, follow(inv, "CANCEL"))
			p.answer(bobAddr, req, 487)
		}, true},
		{"panic at the log of a timeout", "bob", func(p *plant, inv []byte) { p.grave.Store(true) }, true},
		{"panic at the log of a commit", "bob", func(p *plant, inv []byte) {
			p.answer(bobAddr, ring(p, 180), 486)
			p.grave.Store(true)
			p.receive(aliceAddr, register)
		}, true},
		{"a registration beside it", "bob", func(p *plant, inv []byte) {
			p.answer(bobAddr, ring(p, 180), 486)
			p.receive(aliceAddr, register)
		}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			onPlant(t, map[string]string{"AuthMethod": "none"}, func(p *plant) {
				p.wires.keep.Store(true)
				p.wires.poisoned.Store(true)
				inv := invite(tt.user, 1)
				if tt.user == "large" {
					inv = bytes.Replace(inv, []byte("Max-"), append(bytes.Repeat([]byte("X: filling\r\n"), 100), "Max-"...), 1)
				}
				p.receive(aliceAddr, inv)
				tt.then(p, inv)
				p.wait(timerC)
				p.grave.Store(false)
				p.wait(timerC)
				p.empty()
				if got := p.server.Status().Panics > 0; got != tt.panics {
					p.Errorf("%d panics, want some: %v", p.server.Status().Panics, tt.panics)
				}
				final := false
				for _, a := range p.take() {
					final = final || a.to == aliceAddr && bytes.HasPrefix(a.data, []byte("SIP/2.0 ")) && a.data[8] >= '2'
				}
				if !final {
					p.Error("the caller got no final response")
				}
			})
		})
	}
}

// TestStopGivesBack stops a server with calls that ring: each caller is answered, and no request is left open.
func TestStopGivesBack(t *testing.T) {
	const calls = 100
	onPlant(t, nil, func(p *plant) {
		p.wires.keep.Store(true)
		for i := range calls {
			p.receive(aliceAddr, invite("bob", i))
		}
		for _, a := range p.take() {
			if a.to == bobAddr {
				p.answer(bobAddr, a.data, 180)
			}
		}
		p.take()
		p.stop()
		if got := p.server.Status().OpenRequests; got != 0 {
			t.Errorf("%d requests are open after the stop, want none", got)
		}
		finals := 0
		for _, a := range p.take() {
			if a.to == aliceAddr && bytes.HasPrefix(a.data, []byte("SIP/2.0 503 ")) {
				finals++
			}
		}
		if finals != calls {
			t.Errorf("%d callers were answered 503, want %d", finals, calls)
		}
	})
}

// strangers are what anybody may send, by number; %d is different in each.
var strangers = []string{
	"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:bob@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 INVITE\r\nContact: <sip:s@h>\r\nContent-Length: 0\r\n\r\n",
	"INVITE sip:fork@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:fork@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 INVITE\r\nContact: <sip:s@h>\r\nContent-Length: 0\r\n\r\n",
	"INVITE sip:away@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:away@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 INVITE\r\nContact: <sip:s@h>\r\nContent-Length: 0\r\n\r\n",
	"INVITE sip:nobody%[1]d@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:x@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 INVITE\r\nContact: <sip:s@h>\r\nContent-Length: 0\r\n\r\n",
	"MESSAGE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:bob@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 MESSAGE\r\nContent-Length: 2\r\n\r\nhi",
	"FROB%[1]d sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:bob@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 FROB%[1]d\r\nContent-Length: 0\r\n\r\n",
	"REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:bob@example.org>;tag=%[1]d\r\nTo: <sip:bob@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 REGISTER\r\nContact: <sip:bob@h>\r\nContent-Length: 0\r\n\r\n",
	"REGISTER sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:bob@example.org>;tag=%[1]d\r\nTo: <sip:bob@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 REGISTER\r\nAuthorization: Digest username=\"bob\", realm=\"example.org\", nonce=\"%[1]d\", uri=\"sip:example.org\", response=\"0123456789abcdef0123456789abcdef\"\r\nContent-Length: 0\r\n\r\n",
	"OPTIONS sip:example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
	"CANCEL sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bKc%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:bob@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n",
	"ACK sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bKa%[1]d\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>;tag=%[1]d\r\nTo: <sip:bob@example.org>;tag=x\r\nCall-ID: %[1]d\r\nCSeq: 1 ACK\r\nContent-Length: 0\r\n\r\n",
	"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK%[1]d\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\nFrom: <sip:s@h>;tag=1\r\nTo: <sip:bob@example.org>;tag=x\r\nCall-ID: %[1]d\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n",
	"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport;branch=z9hG4bK%[1]d\r\nFrom: <sip:s@h>;ta",
	"INVITE sip:bob@exam%[1]d",
	"\x16\x03\x01%[1]d\x00\xff\xfe garbage\r\n\r\n",
	"GET /%[1]d HTTP/1.1\r\nHost: example.org\r\n\r\n",
	"INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP h;rport\r\nMax-Forwards: 70\r\nFrom: <sip:s@elsewhere.example>\r\nTo: <sip:bob@example.org>\r\nCall-ID: %[1]d\r\nCSeq: 1 INVITE\r\nContact: <sip:s@h>\r\nContent-Length: 0\r\n\r\n", // RFC 2543
}

// TestStrangersLeaveNothing sends a hundred thousand datagrams, each from another address and port. Phones stay silent, so that
// every timer there is must clear up.
func TestStrangersLeaveNothing(t *testing.T) {
	const (
		datagrams = 100_000
		// keptForReuse is the bound of the structs and buffers that the shards keep until Trim; afterTrim is for the slot numbers of
		// as many transactions as there have been at once.
		keptForReuse = 48 << 20
		afterTrim    = 4 << 20
	)
	onPlant(t, nil, func(p *plant) {
		send := func(from, n int) {
			for i := from; i < from+n; i++ {
				addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{11, byte(i >> 16), byte(i >> 8), byte(i)}), uint16(1024+i%60000))
				p.receive(addr, fmt.Appendf(nil, strangers[i%len(strangers)], i))
			}
		}
		send(0, 1000) // What is made once.
		p.wait(10 * time.Minute)
		p.empty()
		goroutines, heap := runtime.NumGoroutine(), liveHeap()
		send(1000, datagrams)
		if p.held().ServerTransactions < datagrams/len(strangers) {
			t.Errorf("%d server transactions after %d datagrams: nothing was tried", p.held().ServerTransactions, datagrams)
		}
		p.wait(10 * time.Minute)
		p.empty()
		if got := runtime.NumGoroutine(); got != goroutines {
			t.Errorf("%d goroutines, want %d as before", got, goroutines)
		}
		kept := liveHeap()
		if kept > heap+keptForReuse {
			t.Errorf("the heap has grown from %d to %d bytes, want at most %d more", heap, kept, keptForReuse)
		}
		p.server.Trim()
		got := liveHeap()
		if got > heap+afterTrim {
			t.Errorf("the heap has grown from %d to %d bytes, want at most %d more", heap, got, afterTrim)
		}
		t.Logf("heap: %d KiB at first, %d KiB with what is kept for reuse, %d KiB without", heap>>10, kept>>10, got>>10)
		send(0, 1000) // Everything goes on without it.
		p.wait(10 * time.Minute)
		p.empty()
		if got := p.server.Status().Panics; got != 0 {
			t.Errorf("%d panics, want none", got)
		}
	})
}

// liveHeap is what the heap holds when everything unreachable is gone; pools give up what they keep at the second collection.
func liveHeap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
