package location

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

var t0 = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// bound is a dynamic binding as a REGISTER of call and cseq made it at t0, for an hour.
func bound(id int64, uri, call string, cseq uint32) *Binding {
	return &Binding{ID: id, URI: uri, CallID: call, CSeq: cseq, Q: 1000, Expires: At(t0.Add(time.Hour)), Updated: At(t0)}
}

func with(b *Binding, change func(*Binding)) *Binding { change(b); return b }

func remove(b *Binding) *Binding { b.Expires = At(t0); return b }

// show writes a list as "id:uri" separated by spaces.
func show(list []*Binding) string {
	var parts []string
	for _, b := range list {
		parts = append(parts, strconv.FormatInt(b.ID, 10)+":"+strings.TrimPrefix(b.URI, "sip:"))
	}
	return strings.Join(parts, " ")
}

// RFC 3261 10.3 steps 6 and 7, RFC 5626 6, BEHAVIOUR J. New ids begin at 100.
func TestApply(t *testing.T) {
	const a, b, c = "sip:u@192.0.2.1", "sip:u@192.0.2.2", "sip:u@192.0.2.3"
	static := func(id int64, uri string) *Binding {
		return with(bound(id, uri, "", 0), func(b *Binding) { b.Expires = 0 })
	}
	expired := func(b *Binding) *Binding { b.Expires = At(t0.Add(-time.Second)); return b }
	instance := func(b *Binding, id string, reg int) *Binding { b.InstanceID, b.RegID = id, reg; return b }
	later := func(b *Binding, d time.Duration) *Binding { b.Updated = At(t0.Add(d)); return b }
	tests := []struct {
		name   string
		before []*Binding
		change Change
		after  string
		upsert string
		delete []int64
		err    error
	}{
		{"7: a binding that does not exist is added", nil, Change{CallID: "x", CSeq: 1, Set: []*Binding{bound(0, a, "x", 1)}},
			"100:u@192.0.2.1", "100:u@192.0.2.1", nil, nil},
		{"7: another contact is added beside", []*Binding{bound(1, a, "x", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{later(bound(0, b, "x", 2), time.Second)}},
			"100:u@192.0.2.2 1:u@192.0.2.1", "100:u@192.0.2.2", nil, nil},
		{"7: same Call-ID and higher CSeq updates", []*Binding{bound(1, a, "x", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{bound(0, a, "x", 2)}},
			"1:u@192.0.2.1", "1:u@192.0.2.1", nil, nil},
		{"7: another Call-ID updates whatever its CSeq", []*Binding{bound(1, a, "x", 9)}, Change{CallID: "y", CSeq: 1, Set: []*Binding{bound(0, a, "y", 1)}},
			"1:u@192.0.2.1", "1:u@192.0.2.1", nil, nil},
		{"7: same Call-ID and same CSeq fails", []*Binding{bound(1, a, "x", 2)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{bound(0, a, "x", 2)}}, "", "", nil, ErrOutOfOrder},
		{"7: same Call-ID and lower CSeq fails", []*Binding{bound(1, a, "x", 2)}, Change{CallID: "x", CSeq: 1, Set: []*Binding{bound(0, a, "x", 1)}}, "", "", nil, ErrOutOfOrder},
		{"7: one out of order fails all", []*Binding{bound(1, a, "x", 2)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{bound(0, b, "x", 2), bound(0, a, "x", 2)}}, "", "", nil, ErrOutOfOrder},
		{"7: removal out of order fails too", []*Binding{bound(1, a, "x", 2)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{remove(bound(0, a, "x", 2))}}, "", "", nil, ErrOutOfOrder},
		{"7: expiration zero removes", []*Binding{bound(1, a, "x", 1), bound(2, b, "x", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{remove(bound(0, a, "x", 2))}},
			"2:u@192.0.2.2", "", []int64{1}, nil},
		{"7: another Call-ID removes", []*Binding{bound(1, a, "x", 9)}, Change{CallID: "y", CSeq: 1, Set: []*Binding{remove(bound(0, a, "y", 1))}}, "", "", []int64{1}, nil},
		{"7: removal of what is not there changes nothing", []*Binding{bound(1, a, "x", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{remove(bound(0, b, "x", 2))}},
			"1:u@192.0.2.1", "", nil, nil},
		{"7: URIs are compared, not texts", []*Binding{bound(1, "sip:%75@HOST.example.com;transport=tcp;x=1", "x", 1)},
			Change{CallID: "x", CSeq: 2, Set: []*Binding{bound(0, "sip:u@host.EXAMPLE.com;Transport=TCP", "x", 2)}},
			"1:u@host.EXAMPLE.com;Transport=TCP", "1:u@host.EXAMPLE.com;Transport=TCP", nil, nil},
		{"7: sips replaces sip", []*Binding{bound(1, a, "x", 1)}, Change{CallID: "y", CSeq: 1, Set: []*Binding{bound(0, "sips:u@192.0.2.1", "y", 1)}},
			"1:sips:u@192.0.2.1", "1:sips:u@192.0.2.1", nil, nil},
		{"7: sip replaces sips", []*Binding{bound(1, "sips:u@192.0.2.1", "x", 1)}, Change{CallID: "y", CSeq: 1, Set: []*Binding{bound(0, a, "y", 1)}},
			"1:u@192.0.2.1", "1:u@192.0.2.1", nil, nil},
		{"7: another port is another contact", []*Binding{bound(1, a, "x", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{later(bound(0, a+":5062", "x", 2), 1)}},
			"100:u@192.0.2.1:5062 1:u@192.0.2.1", "100:u@192.0.2.1:5062", nil, nil},
		{"7: add, update and remove in one request", []*Binding{bound(1, a, "x", 1), bound(2, b, "x", 1)},
			Change{CallID: "x", CSeq: 2, Set: []*Binding{bound(0, a, "x", 2), remove(bound(0, b, "x", 2)), bound(0, c, "x", 2)}},
			"1:u@192.0.2.1 100:u@192.0.2.3", "1:u@192.0.2.1 100:u@192.0.2.3", []int64{2}, nil},
		{"7: a contact listed twice is one, the last counts", nil, Change{CallID: "x", CSeq: 1, Set: []*Binding{bound(0, a, "x", 1), with(bound(0, a, "x", 1), func(b *Binding) { b.Q = 300 })}},
			"100:u@192.0.2.1", "100:u@192.0.2.1", nil, nil},
		{"7: a new contact that the same request removes again", nil, Change{CallID: "x", CSeq: 1, Set: []*Binding{bound(0, a, "x", 1), remove(bound(0, a, "x", 1))}}, "", "", []int64{100}, nil},
		{"q orders, then the newest is first", []*Binding{with(bound(1, a, "x", 1), func(b *Binding) { b.Q = 500 }), bound(2, b, "x", 1)},
			Change{CallID: "x", CSeq: 2, Set: []*Binding{later(bound(0, c, "x", 2), time.Minute)}},
			"100:u@192.0.2.3 2:u@192.0.2.2 1:u@192.0.2.1", "100:u@192.0.2.3", nil, nil},

		{"6: * removes all", []*Binding{bound(1, a, "x", 1), bound(2, b, "y", 7)}, Change{CallID: "x", CSeq: 2, Star: true}, "", "", []int64{1, 2}, nil},
		{"6: * of another Call-ID removes whatever its CSeq", []*Binding{bound(1, a, "x", 9)}, Change{CallID: "z", CSeq: 1, Star: true}, "", "", []int64{1}, nil},
		{"6: * out of order for one binding removes none", []*Binding{bound(1, a, "x", 1), bound(2, b, "y", 7)}, Change{CallID: "y", CSeq: 7, Star: true}, "", "", nil, ErrOutOfOrder},
		{"6: * without bindings", nil, Change{CallID: "x", CSeq: 1, Star: true}, "", "", nil, nil},
		{"6: * leaves static contacts", []*Binding{static(1, a), bound(2, b, "x", 1)}, Change{CallID: "x", CSeq: 2, Star: true}, "1:u@192.0.2.1", "", []int64{2}, nil},

		{"static: never updated", []*Binding{static(1, a)}, Change{CallID: "x", CSeq: 1, Set: []*Binding{bound(0, a, "x", 1)}}, "1:u@192.0.2.1", "", nil, nil},
		{"static: never removed", []*Binding{static(1, a)}, Change{CallID: "x", CSeq: 1, Set: []*Binding{remove(bound(0, a, "x", 1))}}, "1:u@192.0.2.1", "", nil, nil},
		{"static: does not count", []*Binding{static(1, a)}, Change{CallID: "x", CSeq: 1, Max: 1, Set: []*Binding{later(bound(0, b, "x", 1), 1)}}, "100:u@192.0.2.2 1:u@192.0.2.1", "100:u@192.0.2.2", nil, nil},

		{"expired: orders nothing, its row is used again", []*Binding{expired(bound(1, a, "x", 9))}, Change{CallID: "x", CSeq: 1, Set: []*Binding{bound(0, a, "x", 1)}},
			"1:u@192.0.2.1", "1:u@192.0.2.1", nil, nil},
		{"expired: goes with the next change", []*Binding{expired(bound(1, a, "x", 9)), bound(2, b, "x", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{bound(0, b, "x", 2)}},
			"2:u@192.0.2.2", "2:u@192.0.2.2", []int64{1}, nil},
		{"expired: * does not ask it", []*Binding{expired(bound(1, a, "x", 9))}, Change{CallID: "x", CSeq: 1, Star: true}, "", "", []int64{1}, nil},
		{"expired: does not count", []*Binding{expired(bound(1, a, "x", 9))}, Change{CallID: "y", CSeq: 1, Max: 1, Set: []*Binding{bound(0, b, "y", 1)}},
			"100:u@192.0.2.2", "100:u@192.0.2.2", []int64{1}, nil},

		{"instance: the key, whatever the URI", []*Binding{instance(bound(1, a, "x", 1), "<urn:1>", 1)}, Change{CallID: "y", CSeq: 1, Set: []*Binding{instance(bound(0, b, "y", 1), "<urn:1>", 1)}},
			"1:u@192.0.2.2", "1:u@192.0.2.2", nil, nil},
		{"instance: same Call-ID and lower CSeq fails", []*Binding{instance(bound(1, a, "x", 5), "<urn:1>", 1)}, Change{CallID: "x", CSeq: 4, Set: []*Binding{instance(bound(0, b, "x", 4), "<urn:1>", 1)}}, "", "", nil, ErrOutOfOrder},
		{"instance: another reg-id is another flow", []*Binding{instance(bound(1, a, "x", 1), "<urn:1>", 1)}, Change{CallID: "y", CSeq: 1, Set: []*Binding{later(instance(bound(0, a, "y", 1), "<urn:1>", 2), 1)}},
			"100:u@192.0.2.1 1:u@192.0.2.1", "100:u@192.0.2.1", nil, nil},
		{"instance: two phones at one private address", []*Binding{instance(bound(1, a, "x", 1), "<urn:1>", 0)}, Change{CallID: "y", CSeq: 1, Set: []*Binding{later(instance(bound(0, a, "y", 1), "<urn:2>", 0), 1)}},
			"100:u@192.0.2.1 1:u@192.0.2.1", "100:u@192.0.2.1", nil, nil},
		{"instance: takes over a binding that had none", []*Binding{bound(1, a, "x", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{instance(bound(0, a, "x", 2), "<urn:1>", 1)}},
			"1:u@192.0.2.1", "1:u@192.0.2.1", nil, nil},
		{"instance: removed by URI alone", []*Binding{instance(bound(1, a, "x", 1), "<urn:1>", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{remove(bound(0, a, "x", 2))}}, "", "", []int64{1}, nil},
		{"instance: one without is preferred by URI", []*Binding{instance(bound(1, a, "x", 1), "<urn:1>", 1), bound(2, a, "x", 1)}, Change{CallID: "x", CSeq: 2, Set: []*Binding{remove(bound(0, a, "x", 2))}},
			"1:u@192.0.2.1", "", []int64{2}, nil},

		{"max: a request that alone exceeds it", nil, Change{CallID: "x", CSeq: 1, Max: 2, Set: []*Binding{bound(0, a, "x", 1), bound(0, b, "x", 1), bound(0, c, "x", 1)}}, "", "", nil, ErrTooMany},
		{"max: removals do not count", []*Binding{bound(1, a, "x", 1)}, Change{CallID: "x", CSeq: 2, Max: 1, Set: []*Binding{remove(bound(0, a, "x", 2)), bound(0, b, "x", 2)}},
			"100:u@192.0.2.2", "100:u@192.0.2.2", []int64{1}, nil},
		{"max: the oldest makes room", []*Binding{later(bound(1, a, "x", 1), time.Second), bound(2, b, "y", 1)}, Change{CallID: "z", CSeq: 1, Max: 2, Set: []*Binding{later(bound(0, c, "z", 1), time.Minute)}},
			"100:u@192.0.2.3 1:u@192.0.2.1", "100:u@192.0.2.3", []int64{2}, nil},
		{"max: a refresh evicts nobody", []*Binding{bound(1, a, "x", 1), bound(2, b, "x", 1)}, Change{CallID: "x", CSeq: 2, Max: 2, Set: []*Binding{bound(0, a, "x", 2)}},
			"1:u@192.0.2.1 2:u@192.0.2.2", "1:u@192.0.2.1", nil, nil},
		{"max: lowered since", []*Binding{bound(1, a, "x", 1), bound(2, b, "x", 1), bound(3, c, "x", 1)}, Change{CallID: "x", CSeq: 2, Max: 1, Set: []*Binding{bound(0, c, "x", 2)}},
			"3:u@192.0.2.3", "3:u@192.0.2.3", []int64{1, 2}, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := int64(99)
			tt.change.Now = t0
			var were []Binding
			for _, b := range tt.before {
				were = append(were, *b)
			}
			order := slices.Clone(tt.before)
			p, err := apply(tt.before, &tt.change, func() int64 { id++; return id })
			if !errors.Is(err, tt.err) {
				t.Fatalf("got error %v, want %v", err, tt.err)
			}
			if got := show(p.after); got != tt.after {
				t.Errorf("after: got %q, want %q", got, tt.after)
			}
			if got := show(p.rows.Upsert); got != tt.upsert {
				t.Errorf("upsert: got %q, want %q", got, tt.upsert)
			}
			slices.Sort(p.rows.Delete)
			if !slices.Equal(p.rows.Delete, tt.delete) {
				t.Errorf("delete: got %v, want %v", p.rows.Delete, tt.delete)
			}
			for i := range were {
				if tt.before[i] != order[i] || tt.before[i].URI != were[i].URI || tt.before[i].ID != were[i].ID || tt.before[i].CSeq != were[i].CSeq {
					t.Errorf("binding %d was changed in place", i)
				}
			}
		})
	}
}

func TestPrepare(t *testing.T) {
	tests := []struct {
		name      string
		b         Binding
		next      string // "invalid AddrPort" when none
		proto     uint8
		flow, sus bool
	}{
		{"contact", Binding{URI: "sip:u@192.0.2.1:5070"}, "192.0.2.1:5070", protoUDP, false, false},
		{"default port", Binding{URI: "sip:u@192.0.2.1"}, "192.0.2.1:5060", protoUDP, false, false},
		{"tcp", Binding{URI: "sip:u@192.0.2.1;transport=TCP"}, "192.0.2.1:5060", protoTCP, false, false},
		{"tls", Binding{URI: "sip:u@192.0.2.1;transport=tls"}, "192.0.2.1:5061", protoTLS, false, false},
		{"sips", Binding{URI: "sips:u@192.0.2.1"}, "192.0.2.1:5061", protoTLS, false, false},
		{"sips over tcp is tls", Binding{URI: "sips:u@192.0.2.1;transport=tcp"}, "192.0.2.1:5061", protoTLS, false, false},
		{"IPv6", Binding{URI: "sip:u@[2001:db8::1]:5066"}, "[2001:db8::1]:5066", protoUDP, false, false},
		{"IPv4 in IPv6", Binding{URI: "sip:u@[::ffff:192.0.2.1]"}, "192.0.2.1:5060", protoUDP, false, false},
		{"maddr", Binding{URI: "sip:u@example.com;maddr=192.0.2.9"}, "192.0.2.9:5060", protoUDP, false, false},
		{"maddr IPv6", Binding{URI: "sip:u@example.com;maddr=[2001:db8::9]"}, "[2001:db8::9]:5060", protoUDP, false, false},
		{"maddr is a name", Binding{URI: "sip:u@192.0.2.1;maddr=example.com"}, "invalid AddrPort", protoUDP, false, false},
		{"name", Binding{URI: "sip:u@example.com"}, "invalid AddrPort", protoUDP, false, false},
		{"transport that is none of ours", Binding{URI: "sip:u@192.0.2.1;transport=sctp"}, "invalid AddrPort", protoUDP, false, false},
		{"sips over udp", Binding{URI: "sips:u@192.0.2.1;transport=udp"}, "invalid AddrPort", protoUDP, false, false},
		{"tel", Binding{URI: "tel:+12125550000"}, "invalid AddrPort", protoUDP, false, false},
		{"path", Binding{URI: "sip:u@192.0.2.1", Path: []string{`"a<b" <sip:192.0.2.7:5080;lr;transport=tcp>`, "<sip:192.0.2.8>"}}, "192.0.2.7:5080", protoTCP, false, false},
		{"path without brackets", Binding{URI: "sip:u@192.0.2.1", Path: []string{"sip:192.0.2.7 ;lr"}}, "192.0.2.7:5060", protoUDP, false, false},
		{"udp flow", Binding{URI: "sip:u@10.0.0.1", ByFlow: true, Source: addr("192.0.2.4:3333")}, "10.0.0.1:5060", protoUDP, true, false},
		{"live stream", Binding{URI: "sip:u@192.0.2.1;transport=tcp", Proto: protoTCP, ByFlow: true, Conn: 5, Source: addr("192.0.2.1:3333")}, "192.0.2.1:5060", protoTCP, true, false},
		{"closed stream, Contact leads to the same host", Binding{URI: "sip:u@192.0.2.1;transport=tcp", Proto: protoTCP, ByFlow: true, Source: addr("192.0.2.1:3333")}, "192.0.2.1:5060", protoTCP, false, false},
		{"closed stream behind NAT", Binding{URI: "sip:u@10.0.0.1;transport=tcp", Proto: protoTCP, ByFlow: true, Source: addr("192.0.2.1:3333")}, "10.0.0.1:5060", protoTCP, true, true},
		{"closed stream, two addresses of one network", Binding{URI: "sip:u@127.0.0.77;transport=tcp", Proto: protoTCP, ByFlow: true, Source: addr("127.0.0.1:3333")}, "127.0.0.77:5060", protoTCP, false, false},
		{"closed stream, two public addresses", Binding{URI: "sip:u@192.0.2.7;transport=tcp", Proto: protoTCP, ByFlow: true, Source: addr("192.0.2.1:3333")}, "192.0.2.7:5060", protoTCP, false, false},
		{"closed stream of a UA that wants its flow", Binding{URI: "sip:u@192.0.2.1;transport=tcp;ob", Proto: protoTCP, ByFlow: true, Source: addr("192.0.2.1:3333")}, "192.0.2.1:5060", protoTCP, true, true},
		{"closed stream, Contact is a name", Binding{URI: "sip:u@phone.example.com;transport=tcp", Proto: protoTCP, ByFlow: true, Source: addr("192.0.2.1:3333")}, "invalid AddrPort", protoTCP, true, true},
		{"closed stream of an edge proxy", Binding{URI: "sip:u@10.0.0.1", Path: []string{"<sip:192.0.2.7;transport=tcp;lr>"}, Proto: protoTCP, ByFlow: true, Source: addr("192.0.2.7:3333")}, "192.0.2.7:5060", protoTCP, false, false},
		{"closed WebSocket", Binding{URI: "sip:u@192.0.2.1;transport=ws", Proto: protoWS, ByFlow: true, Source: addr("192.0.2.1:3333")}, "192.0.2.1:5060", protoWS, true, true},
		{"closed TLS", Binding{URI: "sips:u@192.0.2.1", Proto: protoTLS, ByFlow: true, Source: addr("192.0.2.1:3333")}, "192.0.2.1:5061", protoTLS, false, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.b
			b.prepare()
			if got := b.Next.String(); got != tt.next {
				t.Errorf("Next: got %s, want %s", got, tt.next)
			}
			if b.Next.IsValid() && b.NextProto != tt.proto {
				t.Errorf("NextProto: got %d, want %d", b.NextProto, tt.proto)
			}
			if b.ByFlow != tt.flow || b.Suspended() != tt.sus {
				t.Errorf("got ByFlow %v Suspended %v, want %v %v", b.ByFlow, b.Suspended(), tt.flow, tt.sus)
			}
		})
	}
}

func TestTime(t *testing.T) {
	if !At(time.Time{}).IsZero() || !FromWall(time.Time{}, t0).IsZero() || !Time(0).Wall(t0).IsZero() {
		t.Error("zero times are not zero")
	}
	x := At(t0.Add(1500 * time.Millisecond))
	if !x.Wall(t0).Equal(t0.Add(1500*time.Millisecond)) || !x.After(t0) || x.Before(t0) || x.Sub(t0) != 1500*time.Millisecond {
		t.Errorf("got %v", x.Wall(t0))
	}
}
