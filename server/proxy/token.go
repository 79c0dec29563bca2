package proxy

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/netip"

	"sipd/server/transport"
)

// A token is the user part of our Record-Route URI. It proves that we routed the dialog's first request, and says by which
// flows its two ends are reached when their Contacts do not tell (RFC 5626 5.2). Its bytes, in URL-safe base64:
//
//	flags                     1
//	hash of the caller's tag  4   which end a request comes from
//	caller's flow             0, 9 or 21: own port 2, address 4 or 16, port 2, transport 1
//	callee's flow             likewise
//	MAC                       10  HMAC-SHA256 over a purpose, Call-ID and all before, cut
//
// It lives as long as PrivateKey: a call goes on over a restart.
type token struct {
	callerTag [tagHashLen]byte
	caller    side
	callee    side
}

// side is one end of a dialog.
type side struct {
	udp    bool           // its requests came over UDP: large messages stay on UDP too
	byFlow bool           // reached at flow, not at its Contact
	flow   transport.Flow // when byFlow
}

const (
	flagCallerUDP byte = 1 << iota
	flagCalleeUDP
	flagCallerFlow
	flagCalleeFlow
	flagCaller6
	flagCallee6
)

const (
	// tagHashLen bytes of a tag's hash tell the two ends of a dialog apart: with two of them one call in 65,536 would have
	// the BYE of its callee sent back to him.
	tagHashLen = 4
	macLen     = 10
	// tokenMin is the length of a token without flows.
	tokenMin = 1 + tagHashLen + macLen
)

// append writes the token of the dialog callID, encoded, behind dst.
func (t *token) append(dst []byte, secret *[32]byte, callID []byte) []byte {
	var raw [64]byte
	b := append(append(raw[:0], 0), t.callerTag[:]...)
	for i, s := range [2]*side{&t.caller, &t.callee} {
		if s.udp {
			b[0] |= flagCallerUDP << i
		}
		if !s.byFlow {
			continue
		}
		b[0] |= flagCallerFlow << i
		b = append(b, byte(s.flow.Local.Port()>>8), byte(s.flow.Local.Port()))
		if a := s.flow.Remote.Addr().Unmap(); a.Is4() {
			a4 := a.As4()
			b = append(b, a4[:]...)
		} else {
			b[0] |= flagCaller6 << i
			a16 := a.As16()
			b = append(b, a16[:]...)
		}
		b = append(b, byte(s.flow.Remote.Port()>>8), byte(s.flow.Remote.Port()), byte(s.flow.Proto))
	}
	sum := mac(secret, callID, b)
	b = append(b, sum[:macLen]...)
	return base64.RawURLEncoding.AppendEncode(dst, b)
}

// parseToken reads text and checks its MAC.
func parseToken(text []byte, secret *[32]byte, callID []byte) (t token, ok bool) {
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
	t.callerTag = [tagHashLen]byte(b[1:])
	b = b[1+tagHashLen:]
	for i, s := range [2]*side{&t.caller, &t.callee} {
		s.udp = flags&(flagCallerUDP<<i) != 0
		if s.byFlow = flags&(flagCallerFlow<<i) != 0; !s.byFlow {
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
		s.flow.Remote = netip.AddrPortFrom(addr, uint16(b[2+alen])<<8|uint16(b[3+alen]))
		s.flow.Proto = transport.Proto(b[4+alen])
		// The own address follows from the peer's when the message is sent.
		s.flow.Local = netip.AddrPortFrom(netip.Addr{}, uint16(b[0])<<8|uint16(b[1]))
		b = b[alen+5:]
	}
	return t, len(b) == 0
}

func tagHash(tag []byte) [tagHashLen]byte {
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
