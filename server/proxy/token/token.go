package token

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"

	"sipd/server/transport"
)

// A Token is the user part of our Record-Route URI. It proves that we routed the dialog's first request, and says by which
// flows its two ends are reached when their Contacts do not tell (RFC 5626 5.2). Its bytes, in URL-safe base64:
//
//	flags                     1
//	hash of the caller's tag  4   which end a request comes from
//	caller's flow             0, 9 or 21: own port 2, address 4 or 16, port 2, transport 1
//	callee's flow             likewise
//	MAC                       10  HMAC-SHA256 over a purpose, Call-ID and all before, cut
//
// It lives as long as PrivateKey: a call goes on over a restart.
type Token struct {
	CallerTag [tagHashLen]byte
	Caller    Side
	Callee    Side
	Gateway   bool // one of them is a gateway: what is in the dialog may go there
}

// Side is one end of a dialog.
type Side struct {
	UDP    bool           // its requests came over UDP: large messages stay on UDP too
	ByFlow bool           // reached at Flow, not at its Contact
	Flow   transport.Flow // when ByFlow
}

const (
	flagCallerUDP byte = 1 << iota
	flagCalleeUDP
	flagCallerFlow
	flagCalleeFlow
	flagCaller6
	flagCallee6
	flagGateway
)

const (
	// tagHashLen bytes of a tag's hash tell the two ends of a dialog apart: with two of them one call in 65,536 would have
	// the BYE of its callee sent back to him.
	tagHashLen = 4
	macLen     = 10
	// tokenMin is the length of a token without flows.
	tokenMin = 1 + tagHashLen + macLen
)

// Append writes the token of the dialog callID, encoded, behind dst.
func (t *Token) Append(dst []byte, secret *[32]byte, callID []byte) []byte {
	var raw [64]byte
	b := append(append(raw[:0], 0), t.CallerTag[:]...)
	for i, s := range [2]*Side{&t.Caller, &t.Callee} {
		if s.UDP {
			b[0] |= flagCallerUDP << i
		}
		if !s.ByFlow {
			continue
		}
		b[0] |= flagCallerFlow << i
		b = append(b, byte(s.Flow.Local.Port()>>8), byte(s.Flow.Local.Port()))
		if a := s.Flow.Remote.Addr().Unmap(); a.Is4() {
			a4 := a.As4()
			b = append(b, a4[:]...)
		} else {
			b[0] |= flagCaller6 << i
			a16 := a.As16()
			b = append(b, a16[:]...)
		}
		b = append(b, byte(s.Flow.Remote.Port()>>8), byte(s.Flow.Remote.Port()), byte(s.Flow.Proto))
	}
	if t.Gateway {
		b[0] |= flagGateway
	}
	sum := mac(secret, callID, b)
	b = append(b, sum[:macLen]...)
	return base64.RawURLEncoding.AppendEncode(dst, b)
}

// Parse reads text and checks its MAC.
func Parse(text []byte, secret *[32]byte, callID []byte) (t Token, ok bool) {
	var raw [96]byte
	if len(text) > base64.RawURLEncoding.EncodedLen(len(raw)) {
		return t, false
	}
	n, err := base64.RawURLEncoding.Decode(raw[:], text)
	if err != nil || n < tokenMin {
		return t, false
	}
	b := raw[:n-macLen]
	sum := mac(secret, callID, b)
	if subtle.ConstantTimeCompare(sum[:macLen], raw[n-macLen:n]) != 1 {
		return t, false
	}
	flags := b[0]
	t.Gateway = flags&flagGateway != 0
	t.CallerTag = [tagHashLen]byte(b[1:])
	b = b[1+tagHashLen:]
	for i, s := range [2]*Side{&t.Caller, &t.Callee} {
		s.UDP = flags&(flagCallerUDP<<i) != 0
		if s.ByFlow = flags&(flagCallerFlow<<i) != 0; !s.ByFlow {
			continue
		}
		alen := 4
		if flags&(flagCaller6<<i) != 0 {
			alen = 16
		}
		if len(b) < alen+5 {
			return t, false
		}
		addr, _ := netip.AddrFromSlice(b[2 : 2+alen])
		s.Flow.Remote = netip.AddrPortFrom(addr, uint16(b[2+alen])<<8|uint16(b[3+alen]))
		s.Flow.Proto = transport.Proto(b[4+alen])
		// The own address follows from the peer's when the message is sent.
		s.Flow.Local = netip.AddrPortFrom(netip.Addr{}, uint16(b[0])<<8|uint16(b[1]))
		b = b[alen+5:]
	}
	return t, len(b) == 0
}

// TagHash is what a token keeps of a tag.
func TagHash(tag []byte) [tagHashLen]byte {
	sum := sha256.Sum256(tag)
	return [tagHashLen]byte(sum[:])
}

// macPurpose keeps other MACs made with PrivateKey from being tokens: without it the nonce of any challenge would be one, in
// a call whose Call-ID is "nonce".
const macPurpose = "route\x00"

// mac is HMAC-SHA256 over the purpose, Call-ID, a NUL and b, on the stack.
func mac(secret *[32]byte, callID, b []byte) [sha256.Size]byte {
	var in [64 + len(macPurpose) + longCallID + 1 + 96]byte
	text := keyed(in[:0], secret, macPurpose)
	if len(callID) > longCallID {
		sum := sha256.Sum256(callID)
		text = append(text, sum[:]...)
	} else {
		text = append(text, callID...)
	}
	text = append(append(text, 0), b...)
	return sealed(secret, text)
}

// keyed begins what an HMAC-SHA256 (RFC 2104) with secret is made of behind dst, which is empty; sealed makes it.
func keyed(dst []byte, secret *[32]byte, purpose string) []byte {
	for _, k := range secret {
		dst = append(dst, 0x36^k)
	}
	for range 64 - len(secret) {
		dst = append(dst, 0x36)
	}
	return append(dst, purpose...)
}

// sealed returns the HMAC of text, which keyed began.
func sealed(secret *[32]byte, text []byte) [sha256.Size]byte {
	inner := sha256.Sum256(text)
	var out [64 + sha256.Size]byte
	for i := range 64 {
		out[i] = 0x5c
	}
	for i, k := range secret {
		out[i] ^= k
	}
	copy(out[64:], inner[:])
	return sha256.Sum256(out[:])
}

// longCallID is the length from which a Call-ID is hashed before it goes into a MAC.
const longCallID = 128
