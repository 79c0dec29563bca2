package token

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/netip"
	"strings"
	"testing"

	"sipd/server/transport"
)

var testSecret = [32]byte{1, 2, 3}

func TestTokenRoundTrip(t *testing.T) {
	v4 := transport.Flow{Proto: transport.TCP, Local: netip.MustParseAddrPort("10.0.0.1:5060"), Remote: netip.MustParseAddrPort("192.0.2.7:49152")}
	v6 := transport.Flow{Proto: transport.UDP, Local: netip.MustParseAddrPort("[2001:db8::1]:5060"), Remote: netip.MustParseAddrPort("[2001:db8::7]:5070")}
	for _, tt := range []struct {
		name           string
		caller, callee Side
	}{
		{"contacts tell", Side{UDP: true}, Side{UDP: true}},
		{"caller by flow", Side{ByFlow: true, Flow: v4}, Side{UDP: true}},
		{"callee by flow", Side{UDP: true}, Side{ByFlow: true, Flow: v6, UDP: true}},
		{"both by flow", Side{ByFlow: true, Flow: v6, UDP: true}, Side{ByFlow: true, Flow: v4}},
		{"both by long flows", Side{ByFlow: true, Flow: v6}, Side{ByFlow: true, Flow: v6}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := Token{CallerTag: TagHash([]byte("a")), Caller: tt.caller, Callee: tt.callee, Gateway: tt.caller.UDP}
			text := in.Append(nil, &testSecret, []byte("call-1"))
			got, ok := Parse(text, &testSecret, []byte("call-1"))
			if !ok {
				t.Fatalf("own token %s is refused", text)
			}
			if got.Gateway != in.Gateway {
				t.Errorf("got gateway %v, want %v", got.Gateway, in.Gateway)
			}
			if got.CallerTag != in.CallerTag {
				t.Errorf("got tag %x, want %x", got.CallerTag, in.CallerTag)
			}
			for i, pair := range [2][2]Side{{got.Caller, tt.caller}, {got.Callee, tt.callee}} {
				g, w := pair[0], pair[1]
				if g.UDP != w.UDP || g.ByFlow != w.ByFlow {
					t.Errorf("side %d: got %+v, want %+v", i, g, w)
				}
				if w.ByFlow && (g.Flow.Remote != w.Flow.Remote || g.Flow.Proto != w.Flow.Proto || g.Flow.Local.Port() != w.Flow.Local.Port()) {
					t.Errorf("side %d: got flow %+v, want %+v", i, g.Flow, w.Flow)
				}
			}
		})
	}
}

func TestTokenIsRefused(t *testing.T) {
	good := string((&Token{Callee: Side{ByFlow: true, Flow: transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.2:5060")}}}).Append(nil, &testSecret, []byte("call-1")))
	other := testSecret
	other[31]++
	for _, tt := range []struct {
		name, text, callID string
		secret             *[32]byte
	}{
		{"another call", good, "call-2", &testSecret},
		{"another key", good, "call-1", &other},
		{"changed byte", "B" + good[1:], "call-1", &testSecret},
		{"cut", good[:len(good)-4], "call-1", &testSecret},
		{"longer", good + "AAAA", "call-1", &testSecret},
		{"empty", "", "call-1", &testSecret},
		{"no base64", "alice", "call-1", &testSecret},
		{"huge", strings.Repeat("A", 4000), "call-1", &testSecret},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, ok := Parse([]byte(tt.text), tt.secret, []byte(tt.callID)); ok {
				t.Errorf("token %q for %s is taken", tt.text, tt.callID)
			}
		})
	}
}

// TestHMAC compares with the standard library, for Call-IDs on both sides of longCallID.
func TestHMAC(t *testing.T) {
	for _, n := range []int{0, 1, longCallID, longCallID + 1, 4000} {
		callID := []byte(strings.Repeat("c", n))
		h := hmac.New(sha256.New, testSecret[:])
		h.Write([]byte("route\x00"))
		if n > longCallID {
			sum := sha256.Sum256(callID)
			h.Write(sum[:])
		} else {
			h.Write(callID)
		}
		h.Write([]byte{0})
		h.Write([]byte("payload"))
		if got := mac(&testSecret, callID, []byte("payload")); !hmac.Equal(got[:], h.Sum(nil)) {
			t.Errorf("Call-ID of %d bytes: got %x, want %x", n, got, h.Sum(nil))
		}
	}
}

func TestTokenAllocations(t *testing.T) {
	in := Token{Callee: Side{ByFlow: true, Flow: transport.Flow{Remote: netip.MustParseAddrPort("10.0.0.2:5060")}}}
	callID := []byte("0123456789@10.0.0.2")
	buf := make([]byte, 0, 128)
	if n := testing.AllocsPerRun(100, func() {
		buf = in.Append(buf[:0], &testSecret, callID)
		Parse(buf, &testSecret, callID)
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func FuzzToken(f *testing.F) {
	f.Add((&Token{}).Append(nil, &testSecret, []byte("call-1")))
	f.Fuzz(func(t *testing.T, text []byte) {
		tok, ok := Parse(text, &testSecret, []byte("call-1"))
		if !ok {
			return
		}
		again := tok.Append(nil, &testSecret, []byte("call-1"))
		if back, ok := Parse(again, &testSecret, []byte("call-1")); !ok || back != tok {
			t.Errorf("got %+v, want %+v", back, tok)
		}
	})
}

// TestNonceIsNoToken tries what a nonce's MAC covers as a token: 12 bytes behind "nonce" and a NUL, with the same key.
func TestNonceIsNoToken(t *testing.T) {
	h := hmac.New(sha256.New, testSecret[:])
	body := append([]byte{flagCallerUDP}, make([]byte, tagHashLen)...)
	h.Write([]byte("nonce\x00"))
	h.Write(body)
	text := base64.RawURLEncoding.EncodeToString(append(body, h.Sum(nil)[:macLen]...))
	if _, ok := Parse([]byte(text), &testSecret, []byte("nonce")); ok {
		t.Error("the MAC of a nonce makes a token")
	}
}
