package proxy

import (
	"bytes"
	"errors"
	"net/netip"
	"testing"
	"time"

	"sipd/location"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// sentNet is ownNet that keeps what is sent.
type sentNet struct {
	ownNet
	sent *[]transport.Packet
}

func (n sentNet) NewOut() *transport.Out {
	return transport.NewOut(func(_ *transport.Out, packets []transport.Packet) {
		for _, p := range packets {
			p.Data = bytes.Clone(p.Data)
			*n.sent = append(*n.sent, p)
		}
	})
}

// searches runs f with a proxy, its network and the shard of an INVITE, and returns what was sent and how the searches ended.
func searches(t *testing.T, f func(p *Proxy, s *transaction.Shard, in func(func()), sent *[]transport.Packet)) (sent []transport.Packet, ends []int) {
	t.Helper()
	network := sentNet{sent: &sent}
	table, err := transaction.New(transaction.Config{Net: network})
	if err != nil {
		t.Fatal(err)
	}
	p := New(Config{Net: network, Finished: func(_ *transaction.Shard, f Finished) { ends = append(ends, f.Status) }})
	s := table.Shard([]byte("c1"))
	out := network.NewOut()
	in := func(f func()) {
		s.Enter(out, time.Now())
		f()
		s.Leave()
		out.Flush()
	}
	f(p, s, in, &sent)
	return sent, ends
}

// invited returns an INVITE, and the flow it came by.
func invited(t *testing.T) (*message.Message, transport.Flow) {
	m := index(t, "INVITE sip:bob@example.org SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa\nMax-Forwards: 70\n"+
		"From: <sip:alice@example.org>;tag=1\nTo: <sip:bob@example.org>\nCall-ID: c1\nCSeq: 7 INVITE\n\n")
	from := transport.Flow{Local: netip.MustParseAddrPort("10.0.0.100:5060"), Remote: netip.MustParseAddrPort("10.0.0.1:5060")}
	m.Source = from.Remote
	return m, from
}

// TestNoResponseAtAll ends a search in which nothing has been tried: 408, as of a context without a final response (RFC 3261 16.7
// step 6).
func TestNoResponseAtAll(t *testing.T) {
	m, from := invited(t)
	sent, ends := searches(t, func(p *Proxy, s *transaction.Shard, in func(func()), _ *[]transport.Packet) {
		in(func() { p.Forward(s, m, from, &Plan{Route: &Route{URI: *m.RequestURI()}}) })
	})
	if len(sent) != 1 || !bytes.HasPrefix(sent[0].Data, []byte("SIP/2.0 408 ")) || len(ends) != 1 || ends[0] != 408 {
		t.Errorf("got %d messages and ends %v, want one 408", len(sent), ends)
	}
}

// TestSecondWay lets the transport refuse one way to a phone after the other: each attempt is a new client transaction with a
// branch of its own, formatted for its way (RFC 3261 16.6 step 7), and when none is left the branch counts as 503 (16.9).
func TestSecondWay(t *testing.T) {
	m, from := invited(t)
	bob := location.Binding{
		URI: "sip:bob@10.0.0.11", ByFlow: true, Proto: uint8(transport.TCP), Conn: 1,
		Source: netip.MustParseAddrPort("10.0.0.11:33000"), Next: netip.MustParseAddrPort("10.0.0.11:5060"),
	}
	sent, ends := searches(t, func(p *Proxy, s *transaction.Shard, in func(func()), sent *[]transport.Packet) {
		in(func() {
			p.Forward(s, m, from, &Plan{Route: &Route{URI: *m.RequestURI()}, Targets: []target.Target{{Binding: &bob}}})
		})
		for range 2 {
			in(func() { s.SendFailed((*sent)[len(*sent)-1].Ref, errors.New("refused")) })
		}
	})
	if len(sent) != 3 {
		t.Fatalf("got %d messages, want the INVITE by two ways and a response", len(sent))
	}
	branches := map[string]bool{}
	for i, want := range []struct {
		proto  transport.Proto
		remote netip.AddrPort
		via    string
		length bool
	}{{transport.TCP, bob.Source, "TCP", true}, {transport.UDP, bob.Next, "UDP", false}} {
		x := new(message.Message)
		if err := x.Index(sent[i].Data); err != nil {
			t.Fatal(err)
		}
		branches[string(x.Top().Branch)] = true
		if to := sent[i].To; to.Proto != want.proto || to.Remote != want.remote || string(x.Top().Transport) != want.via || x.Has(message.ContentLength) != want.length {
			t.Errorf("attempt %d: got %v, want %v %v\n%s", i+1, to, want.proto, want.remote, sent[i].Data)
		}
	}
	if len(branches) != 2 {
		t.Errorf("both attempts have the branch %v", branches)
	}
	if !bytes.HasPrefix(sent[2].Data, []byte("SIP/2.0 500 ")) || len(ends) != 1 || ends[0] != 500 {
		t.Errorf("got %q and ends %v, want one 500", sent[2].Data[:12], ends)
	}
}
