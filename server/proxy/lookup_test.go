package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"sipd/location"
	"sipd/resolve"
	"sipd/server/message"
	"sipd/server/target"
	"sipd/server/transaction"
	"sipd/server/transport"
)

// book is a Resolver that answers from a list, at once or, when later is set, by answer.
type book struct {
	hops  map[string][]resolve.Hop
	later bool
	asked []resolve.Query
	done  []func([]resolve.Hop, error)
}

func (b *book) Hops(q resolve.Query, done func([]resolve.Hop, error)) ([]resolve.Hop, error, bool) {
	b.asked = append(b.asked, q)
	if b.later {
		b.done = append(b.done, done)
		return nil, nil, false
	}
	hops, err := b.find(q)
	return hops, err, true
}

func (b *book) find(q resolve.Query) ([]resolve.Hop, error) {
	if hops := b.hops[q.Host]; hops != nil {
		return hops, nil
	}
	return nil, resolve.ErrNotFound
}

// answer calls what waits.
func (b *book) answer() {
	for i, done := range b.done {
		done(b.find(b.asked[i]))
	}
}

func hopTo(addr string) resolve.Hop {
	return resolve.Hop{Transport: resolve.UDP, Addr: netip.MustParseAddrPort(addr)}
}

// byName runs f with a proxy whose next hops are in b, and an INVITE for uri that has been forwarded. It returns what was sent, in words.
func byName(t *testing.T, b *book, uri string, f func(each func(func(*Context, *transaction.Shard)), s *transaction.Shard, in func(func()), sent *[]transport.Packet)) []string {
	t.Helper()
	var sent []transport.Packet
	network := sentNet{sent: &sent}
	table, err := transaction.New(transaction.Config{Net: network})
	if err != nil {
		t.Fatal(err)
	}
	m, from := invited(t)
	raw := bytes.Replace(m.Raw(), []byte("sip:bob@example.org SIP"), []byte(uri+" SIP"), 1)
	m = new(message.Message)
	if err := m.Index(raw); err != nil {
		t.Fatal(err)
	}
	m.Source = from.Remote
	s := table.Shard(m.CallID())
	out := network.NewOut()
	in := func(f func()) {
		defer out.Flush()
		s.Enter(out, time.Now())
		defer s.Leave()
		f()
	}
	p := New(Config{Net: network, Resolver: b, Domains: new(transport.Domains), InShard: func(_ []byte, f func(*transaction.Shard)) { in(func() { f(s) }) }})
	in(func() {
		p.Forward(s, m, from, &Plan{Route: &Route{URI: *m.RequestURI()}, Targets: []target.Target{{}}})
	})
	f(func(do func(*Context, *transaction.Shard)) {
		table.EachServer(out, time.Now(), func(s *transaction.Shard, tx *transaction.Server) {
			if c, ok := tx.User().(*Context); ok {
				do(c, s)
			}
		})
		out.Flush()
	}, s, in, &sent)
	var words []string
	for _, packet := range sent {
		first, _, _ := bytes.Cut(packet.Data, []byte("\r\n"))
		words = append(words, fmt.Sprintf("%s %s", packet.To.Remote, bytes.TrimSuffix(first, []byte(" SIP/2.0"))))
	}
	return words
}

// answered gives the last request that was sent a response.
func answered(t *testing.T, s *transaction.Shard, sent *[]transport.Packet, status string) {
	t.Helper()
	last := (*sent)[len(*sent)-1]
	var req message.Message
	if err := req.Index(last.Data); err != nil {
		t.Fatal(err)
	}
	text := "SIP/2.0 " + status + "\r\n"
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq"} {
		for _, line := range strings.Split(string(last.Data), "\r\n") {
			if strings.HasPrefix(line, name+":") {
				if name == "To" {
					line += ";tag=b"
				}
				text += line + "\r\n"
			}
		}
	}
	var resp message.Message
	if err := resp.Index([]byte(text + "Content-Length: 0\r\n\r\n")); err != nil {
		t.Fatal(err)
	}
	if !s.Response(&resp, transport.Flow{Remote: last.To.Remote}) {
		t.Errorf("the response %q found no transaction", status)
	}
}

// TestNextHopsByName tries the hops of a name one after the other (RFC 3263 4.3).
func TestNextHopsByName(t *testing.T) {
	two := map[string][]resolve.Hop{"example.net": {hopTo("192.0.2.1:5060"), hopTo("192.0.2.2:5070")}}
	const invite = " INVITE sip:carol@Example.NET"
	for _, tt := range []struct {
		name, uri string
		later     bool
		then      func(each func(func(*Context, *transaction.Shard)), s *transaction.Shard, in func(func()), sent *[]transport.Packet, b *book)
		want      []string
	}{
		{"the first", "sip:carol@Example.NET", false, nil, []string{"192.0.2.1:5060" + invite}},
		{"later", "sip:carol@Example.NET", true, func(_ func(func(*Context, *transaction.Shard)), _ *transaction.Shard, _ func(func()), _ *[]transport.Packet, b *book) {
			b.answer()
		},
			[]string{"192.0.2.1:5060" + invite}},
		{"the transport refuses one", "sip:carol@Example.NET", false, func(_ func(func(*Context, *transaction.Shard)), s *transaction.Shard, in func(func()), sent *[]transport.Packet, _ *book) {
			in(func() { s.SendFailed((*sent)[0].Ref, errors.New("refused")) })
		}, []string{"192.0.2.1:5060" + invite, "192.0.2.2:5070" + invite}},
		{"and the other", "sip:carol@Example.NET", false, func(_ func(func(*Context, *transaction.Shard)), s *transaction.Shard, in func(func()), sent *[]transport.Packet, _ *book) {
			for i := range 2 {
				in(func() { s.SendFailed((*sent)[i].Ref, errors.New("refused")) })
			}
		}, []string{"192.0.2.1:5060" + invite, "192.0.2.2:5070" + invite, "10.0.0.1:5060 SIP/2.0 500 Server Internal Error"}},
		{"503", "sip:carol@Example.NET", false, func(_ func(func(*Context, *transaction.Shard)), s *transaction.Shard, in func(func()), sent *[]transport.Packet, _ *book) {
			in(func() { answered(t, s, sent, "503 Busy") })
		}, []string{"192.0.2.1:5060" + invite, "192.0.2.1:5060 ACK sip:carol@Example.NET", "192.0.2.2:5070" + invite}},
		{"silence", "sip:carol@Example.NET", false, func(each func(func(*Context, *transaction.Shard)), s *transaction.Shard, in func(func()), sent *[]transport.Packet, _ *book) {
			each(func(c *Context, s *transaction.Shard) { c.branches[0].silent(s) })
			in(func() { answered(t, s, sent, "200 OK") })
		}, []string{"192.0.2.1:5060" + invite, "192.0.2.2:5070" + invite, "10.0.0.1:5060 SIP/2.0 200 OK"}},
		{"486 is an answer", "sip:carol@Example.NET", false, func(_ func(func(*Context, *transaction.Shard)), s *transaction.Shard, in func(func()), sent *[]transport.Packet, _ *book) {
			in(func() { answered(t, s, sent, "486 Busy Here") })
		}, []string{"192.0.2.1:5060" + invite, "192.0.2.1:5060 ACK sip:carol@Example.NET", "10.0.0.1:5060 SIP/2.0 486 Busy Here"}},
		{"no such domain", "sip:carol@nowhere.example", false, nil, []string{"10.0.0.1:5060 SIP/2.0 404 Not Found"}},
		{"the call ends before the answer", "sip:carol@Example.NET", true, func(each func(func(*Context, *transaction.Shard)), _ *transaction.Shard, _ func(func()), _ *[]transport.Packet, b *book) {
			each(func(c *Context, s *transaction.Shard) { c.Abort(s) })
			b.answer()
		}, []string{"10.0.0.1:5060 SIP/2.0 503 Service Unavailable"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := &book{hops: two, later: tt.later}
			got := byName(t, b, tt.uri, func(each func(func(*Context, *transaction.Shard)), s *transaction.Shard, in func(func()), sent *[]transport.Packet) {
				if tt.then != nil {
					tt.then(each, s, in, sent, b)
				}
			})
			if strings.Join(got, "\n") != strings.Join(tt.want, "\n") {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

// TestLookUpOutlivesCall: when the answer of a look-up comes, the response context may serve a call of another shard already, whose
// lock is another. The race detector sees who touches it.
func TestLookUpOutlivesCall(t *testing.T) {
	b := &book{later: true}
	byName(t, b, "sip:carol@example.net", func(each func(func(*Context, *transaction.Shard)), _ *transaction.Shard, _ func(func()), _ *[]transport.Packet) {
		var c *Context
		each(func(now *Context, s *transaction.Shard) { c = now; c.Cancelled(s, c.tx, c.tx.Request) })
		if c.p != nil {
			t.Fatal("got a context that is in use, want it given back")
		}
		taken := make(chan struct{})
		go func() { // as Forward does for the next call
			c.tx = nil
			close(taken)
		}()
		b.answer()
		<-taken
	})
}

// brokenNet panics when it is asked for a source.
type brokenNet struct{ sentNet }

func (brokenNet) Source(transport.Proto, netip.Addr) (netip.AddrPort, bool) { panic("broken") }

// TestPanicInLookUp: a panic when the answer of a look-up comes leaves no call behind.
func TestPanicInLookUp(t *testing.T) {
	b := &book{hops: map[string][]resolve.Hop{"example.net": {hopTo("192.0.2.1:5060")}}, later: true}
	got := byName(t, b, "sip:carol@example.net", func(each func(func(*Context, *transaction.Shard)), _ *transaction.Shard, _ func(func()), _ *[]transport.Packet) {
		each(func(c *Context, _ *transaction.Shard) { c.p.net = brokenNet{} })
		defer func() {
			if recover() == nil {
				t.Error("got no panic")
			}
		}()
		b.answer()
	})
	if want := "10.0.0.1:5060 SIP/2.0 500 Server Internal Error"; strings.Join(got, "\n") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// full is a Resolver that has no room for one name and gets no answer for the others.
type full string

func (f full) Hops(q resolve.Query, _ func([]resolve.Hop, error)) ([]resolve.Hop, error, bool) {
	if q.Host == string(f) {
		return nil, resolve.ErrBusy, true
	}
	return nil, resolve.ErrUnavailable, true
}

// TestNoRoomIsTold: when the look-up of one of several contacts had no room the caller hears when to try again, whichever came first.
func TestNoRoomIsTold(t *testing.T) {
	for _, name := range []string{"a.example", "b.example"} {
		var sent []transport.Packet
		network := sentNet{sent: &sent}
		table, err := transaction.New(transaction.Config{Net: network})
		if err != nil {
			t.Fatal(err)
		}
		m, from := invited(t)
		s, out := table.Shard(m.CallID()), network.NewOut()
		p := New(Config{Net: network, Resolver: full(name), Domains: new(transport.Domains)})
		s.Enter(out, time.Now())
		p.Forward(s, m, from, &Plan{Route: &Route{URI: *m.RequestURI()}, Targets: []target.Target{
			{Binding: &location.Binding{URI: "sip:bob@a.example"}}, {Binding: &location.Binding{URI: "sip:bob@b.example"}},
		}})
		s.Leave()
		out.Flush()
		if len(sent) != 1 || !bytes.HasPrefix(sent[0].Data, []byte("SIP/2.0 500 ")) || !bytes.Contains(sent[0].Data, []byte("\r\nRetry-After: 5\r\n")) {
			t.Errorf("no room for %s: got %d messages, want one 500 with Retry-After: %+v", name, len(sent), sent)
		}
	}
}
