package transport

import (
	"bytes"
	"fmt"
	"net/netip"
	"slices"
	"testing"
)

func TestOut(t *testing.T) {
	var sent []string
	out := NewOut(func(o *Out, packets []Packet) {
		for _, p := range packets {
			sent = append(sent, string(p.Data))
			if p.Ref > 0 { // a failure that causes another message, and flushes as a careless receiver would
				o.Send(p.To, fmt.Appendf(nil, "failed %d", p.Ref), p.Ref-1)
				o.Flush()
			}
		}
	})
	buf := []byte("first")
	out.Send(Flow{}, buf, 0)
	copy(buf, "XXXXX") // Send has copied
	out.Send(Flow{}, []byte("second"), 2)
	out.Send(Flow{}, bytes.Repeat([]byte("l"), 5000), 0) // moves the arena
	if got, want := out.Len(), 3; got != want {
		t.Errorf("got %d queued, want %d", got, want)
	}
	if len(sent) > 0 {
		t.Errorf("got %q sent before Flush, want nothing", sent)
	}
	out.Flush()
	want := []string{"first", "second", string(bytes.Repeat([]byte("l"), 5000)), "failed 2", "failed 1"}
	if !slices.Equal(sent, want) {
		t.Errorf("got %.200q, want %.200q", sent, want)
	}
	sent = nil
	out.Flush()
	if len(sent) > 0 {
		t.Errorf("got %q sent twice", sent)
	}
}

func TestOutIsBounded(t *testing.T) {
	rounds := 0
	out := NewOut(func(o *Out, packets []Packet) {
		rounds++
		for _, p := range packets {
			o.Send(p.To, p.Data, p.Ref) // for ever
		}
	})
	out.Send(Flow{}, []byte("x"), 1)
	out.Flush()
	if rounds != maxFlushRounds {
		t.Errorf("got %d rounds, want %d", rounds, maxFlushRounds)
	}
	if out.Dropped() != 1 || out.Len() != 0 {
		t.Errorf("got %d dropped, %d left, want 1, 0", out.Dropped(), out.Len())
	}
}

func TestOutGivesBurstsBack(t *testing.T) {
	out := NewOut(func(*Out, []Packet) {})
	for range maxPacketsKept + 1 {
		out.Send(Flow{}, make([]byte, 1024), 0)
	}
	out.Flush()
	if got := cap(out.arena); got > maxArenaKept {
		t.Errorf("got %d bytes kept, want at most %d", got, maxArenaKept)
	}
	if got := cap(out.packets) + cap(out.spare); got > maxPacketsKept {
		t.Errorf("got %d packets kept, want at most %d", got, maxPacketsKept)
	}
}

func TestOutDoesNotAllocate(t *testing.T) {
	out := NewOut(func(*Out, []Packet) {})
	data := make([]byte, 700)
	to := Flow{Remote: netip.MustParseAddrPort("192.0.2.1:5060")}
	if got := testing.AllocsPerRun(100, func() {
		for range 32 {
			out.Send(to, data, 1)
		}
		out.Flush()
	}); got > 0 {
		t.Errorf("got %v allocations, want 0", got)
	}
}

func TestParseProto(t *testing.T) {
	tests := []struct {
		name string
		want Proto
		ok   bool
	}{
		{"UDP", UDP, true}, {"udp", UDP, true}, {"Tcp", TCP, true}, {"TLS", TLS, true}, {"ws", WS, true}, {"WSS", WSS, true},
		{"", 0, false}, {"SCTP", 0, false}, {"UD\x10", 0, false}, {"TLS-SCTP", 0, false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got, ok := ParseProto([]byte(tt.name)); got != tt.want || ok != tt.ok {
				t.Errorf("got %v, %v, want %v, %v", got, ok, tt.want, tt.ok)
			}
		})
	}
	for p := range Proto(protos) {
		if got, ok := ParseProto([]byte(p.Param())); got != p || !ok {
			t.Errorf("got %v, %v for %s", got, ok, p.Param())
		}
	}
	if got := Proto(99).String() + Proto(99).Param(); got != "UNKNOWNunknown" {
		t.Errorf("got %s", got)
	}
}
