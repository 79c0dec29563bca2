package server

import (
	"bytes"
	"context"
	"crypto/x509"
	"fmt"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"sipd/config"
	"sipd/location"
	"sipd/server/calltrace"
	"sipd/server/message"
	"sipd/server/transport"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
)

var (
	proxyAddr = netip.MustParseAddrPort("10.0.0.1:5060")
	aliceAddr = netip.MustParseAddrPort("10.0.0.10:5060")
	bobAddr   = netip.MustParseAddrPort("10.0.0.11:5060")
)

// wire is a network that keeps what was sent last to each of two phones.
type wire struct {
	toAlice, toBob []byte
	aliases        []string // that were asked for
}

func (w *wire) Run(ctx context.Context, _ transport.Receiver) error { <-ctx.Done(); return ctx.Err() }
func (w *wire) NewOut() *transport.Out {
	return transport.NewOut(func(_ *transport.Out, packets []transport.Packet) {
		for _, p := range packets {
			if p.To.Remote == bobAddr {
				w.toBob = append(w.toBob[:0], p.Data...)
			} else {
				w.toAlice = append(w.toAlice[:0], p.Data...)
			}
		}
	})
}
func (w *wire) Source(transport.Proto, netip.Addr) (netip.AddrPort, bool) { return proxyAddr, true }
func (w *wire) Own(a netip.AddrPort) bool                                 { return a == proxyAddr }
func (w *wire) Certificates(transport.ConnID) []*x509.Certificate         { return nil }
func (w *wire) Alias(id transport.ConnID, host []byte, port uint16) {
	w.aliases = append(w.aliases, fmt.Sprintf("%d %s %d", id, host, port))
}

func benchServer(tb testing.TB, settings map[string]string, maxOpen int) (*Server, *wire) {
	tb.Helper()
	set, err := config.New(settings, nil)
	if err != nil {
		tb.Fatal(err)
	}
	snap, err := cache.Build(store.Tables{
		Domains: []store.Domain{{ID: 1, Name: "example.org"}},
		Users: []store.User{
			{ID: 1, Key: "alice@example.org", Realm: "example.org", AuthPolicy: store.Never},
			{ID: 2, Key: "bob@example.org", Realm: "example.org", AuthPolicy: store.Never},
		},
	}, set)
	if err != nil {
		tb.Fatal(err)
	}
	loc, err := location.New(location.Config{Store: bobAtHome{storetest.New()}})
	if err != nil {
		tb.Fatal(err)
	}
	if err := loc.Load(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	w := &wire{}
	s, err := New(Config{Net: w, Tables: func() *cache.Snapshot { return snap }, Location: loc, MaxOpen: maxOpen, Calls: calltrace.New(), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		tb.Fatal(err)
	}
	return s, w
}

// bobAtHome is a store with one binding.
type bobAtHome struct{ *storetest.Mem }

func (bobAtHome) LoadBindings(_ context.Context, each func(sipaddr.AOR, *location.Binding) error) error {
	return each("bob@example.org", &location.Binding{ID: 1, UserID: 2, URI: "sip:bob@10.0.0.11:5060", Q: 1000, Expires: location.At(time.Now().Add(time.Hour)), Source: bobAddr})
}

const sdp = "v=0\r\no=a 1 1 IN IP4 10.0.0.10\r\ns=-\r\nc=IN IP4 10.0.0.10\r\nt=0 0\r\nm=audio 40000 RTP/AVP 0 8 101\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:101 telephone-event/8000\r\n"

// BenchmarkCall is INVITE-180-200-ACK-BYE-200 through the proxy without sockets: what the core itself costs. The phones'
// messages are made by the same code that is measured, so the core's share is about two thirds.
func BenchmarkCall(b *testing.B) { benchmarkCall(b, nil) }

// BenchmarkCallStateless is the same call without transactions.
func BenchmarkCallStateless(b *testing.B) {
	benchmarkCall(b, map[string]string{"TryStateless": "true"})
}

func benchmarkCall(b *testing.B, settings map[string]string) {
	s, w := benchServer(b, settings, 0)
	out := s.net.NewOut()
	fromAlice := transport.Flow{Remote: aliceAddr, Local: proxyAddr}
	fromBob := transport.Flow{Remote: bobAddr, Local: proxyAddr}
	var m message.Message
	var buf []byte
	receive := func(from transport.Flow, msg []byte) {
		s.Receive(out, from, msg)
		out.Flush()
	}
	contact := []message.Field{{Name: "Contact", Value: []byte("<sip:bob@10.0.0.11:5060>")}}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		request := func(method, uri, extra, to, body string, cseq int) []byte {
			return fmt.Appendf(buf[:0], "%s %s SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;rport;branch=z9hG4bK%d.%s\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=a\r\nTo: <sip:bob@example.org>%s\r\nCall-ID: %d@10.0.0.10\r\nCSeq: %d %s\r\nContact: <sip:alice@10.0.0.10>\r\n%sContent-Length: %d\r\n\r\n%s",
				method, uri, i, method, to, i, cseq, method, extra, len(body), body)
		}
		buf = request("INVITE", "sip:bob@example.org", "", "", sdp, 1)
		receive(fromAlice, buf)
		if err := m.Index(w.toBob); err != nil || m.Method() != message.INVITE {
			b.Fatalf("INVITE did not arrive: %v %s", err, w.toAlice)
		}
		route := "Route: " + string(m.Value(message.RecordRoute)) + "\r\n"
		buf = message.AppendResponse(buf[:0], &m, 180, "", []byte("b"), contact, nil)
		ok := message.AppendResponse(nil, &m, 200, "", []byte("b"), contact, []byte(sdp))
		receive(fromBob, buf)
		receive(fromBob, ok)
		if err := m.Index(w.toAlice); err != nil || m.Status() != 200 {
			b.Fatalf("200 did not arrive: %v %s", err, w.toAlice)
		}
		buf = request("ACK", "sip:bob@10.0.0.11:5060", route, ";tag=b", "", 1)
		receive(fromAlice, buf)
		if err := m.Index(w.toBob); err != nil || m.Method() != message.ACK {
			b.Fatalf("ACK did not arrive: %v %s", err, w.toBob)
		}
		buf = request("BYE", "sip:bob@10.0.0.11:5060", route, ";tag=b", "", 2)
		receive(fromAlice, buf)
		if err := m.Index(w.toBob); err != nil || m.Method() != message.BYE {
			b.Fatalf("BYE did not arrive: %v %s", err, w.toBob)
		}
		buf = message.AppendResponse(buf[:0], &m, 200, "", nil, nil, nil)
		receive(fromBob, buf)
		if err := m.Index(w.toAlice); err != nil || m.Status() != 200 || m.Method() != message.BYE {
			b.Fatalf("200 to BYE did not arrive: %v %s", err, w.toAlice)
		}
	}
}

// BenchmarkRedirect is INVITE-302-ACK.
func BenchmarkRedirect(b *testing.B) {
	s, w := benchServer(b, map[string]string{"DefaultReg": "redirect"}, 0)
	out := s.net.NewOut()
	from := transport.Flow{Remote: aliceAddr, Local: proxyAddr}
	var buf []byte
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		for _, method := range [...]string{"INVITE", "ACK"} {
			body := sdp
			if method == "ACK" {
				body = ""
			}
			buf = fmt.Appendf(buf[:0], "%s sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;rport;branch=z9hG4bK%d.1\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=a\r\nTo: <sip:bob@example.org>\r\nCall-ID: %d@10.0.0.10\r\nCSeq: 1 %s\r\nContact: <sip:alice@10.0.0.10>\r\nContent-Length: %d\r\n\r\n%s",
				method, i, i, method, len(body), body)
			s.Receive(out, from, buf)
			out.Flush()
		}
		if i == 0 && !bytes.HasPrefix(w.toAlice, []byte("SIP/2.0 302 ")) {
			b.Fatalf("got %s, want a 302", w.toAlice)
		}
	}
}

// TestMaxOpen: what rings unanswered is bounded; the caller beyond it is told to come back.
func TestMaxOpen(t *testing.T) {
	s, w := benchServer(t, nil, 2)
	out := s.net.NewOut()
	for i, want := range []string{"INVITE", "INVITE", "SIP/2.0 503 "} {
		w.toAlice, w.toBob = nil, nil
		s.Receive(out, transport.Flow{Remote: aliceAddr, Local: proxyAddr}, fmt.Appendf(nil, "INVITE sip:bob@example.org SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK%d\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.org>;tag=a\r\nTo: <sip:bob@example.org>\r\nCall-ID: %d@10.0.0.10\r\nCSeq: 1 INVITE\r\nContact: <sip:alice@10.0.0.10>\r\nContent-Length: 0\r\n\r\n", i, i))
		out.Flush()
		got := append(w.toBob, w.toAlice...)
		if !bytes.HasPrefix(got, []byte(want)) {
			t.Errorf("call %d: got %q, want %s", i, got, want)
		}
	}
	if !bytes.Contains(w.toAlice, []byte("\r\nRetry-After: ")) {
		t.Errorf("got %q, want Retry-After", w.toAlice)
	}
}
