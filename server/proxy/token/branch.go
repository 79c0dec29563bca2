package token

import (
	"encoding/binary"
	"hash/crc64"
	"net/netip"

	"sipd/server/message"
)

// AppendSent writes what the first part of a stateless branch is a hash of (RFC 3261 16.11): the key, and what tells transactions apart
// and stands in a request and in its responses, m, alike. via is that of whoever sent the request, from source to our port.
//
// The hash begins with the key, and 96 of its 256 bits are shown: nobody can go on from these to the hash of a longer text, which HMAC
// would prevent at twice the price. Every message that is forwarded without state pays it.
//
// A branch of RFC 2543 tells nothing apart. What 16.11 RECOMMENDS instead has the To tag, which a response need not have in common
// with its request; so only ACKs, which get none, are forwarded with it.
func AppendSent(dst []byte, secret *[32]byte, m *message.Message, via *message.ViaValue, source netip.Addr, port uint16) []byte {
	dst = append(append(dst, secret[:]...), "branch\x00"...)
	if source = source.Unmap(); source.Is4() {
		address := source.As4()
		dst = append(append(dst, 4), address[:]...)
	} else {
		address := source.As16()
		dst = append(append(dst, 6), address[:]...)
	}
	dst = binary.BigEndian.AppendUint16(dst, port)
	dst = binary.BigEndian.AppendUint16(dst, via.Port)
	dst = binary.BigEndian.AppendUint32(dst, m.CSeq())
	dst = append(appendLower(dst, via.Host), 0)
	dst = append(appendLower(dst, via.Branch), 0)
	if !Identifies(via.Branch) {
		for _, part := range [...][]byte{via.Text, m.RequestURI().Text, m.FromTag(), m.ToTag()} {
			dst = append(append(dst, part...), 0)
		}
	}
	return append(dst, m.CallID()...)
}

// Identifies tells whether a branch is one of RFC 3261, which no other transaction of its sender has (8.1.1.7).
func Identifies(branch []byte) bool {
	return len(branch) > len(message.MagicCookie) && message.HasCookie(branch)
}

// appendLower writes a part of a Via in lower case: it is compared without case (7.3.1).
func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// Loop is the second part of a stateless branch (RFC 5393 4.2.1). It leaves out what tells the CANCEL and the ACK of an INVITE from it:
// the To tag, which an ACK has, and the credentials, which most phones leave out; and it is the same in the next process. A checksum
// that begins with the key is enough: whoever finds out how to write one that is ours into a Via has his own request refused.
func Loop(m *message.Message, secret *[32]byte) uint64 {
	var room [usualLoop]byte
	text := append(room[:0], secret[8:]...)
	text = binary.BigEndian.AppendUint32(text, m.CSeq())
	for _, part := range [...][]byte{m.RequestURI().Text, m.FromAddress().URI.Text, m.FromTag(), m.CallID()} {
		text = append(append(text, part...), 0)
	}
	if m.Has(message.Route) {
		vs := m.Values(message.Route)
		for v, ok := vs.Next(); ok; v, ok = vs.Next() {
			text = append(append(text, v...), 0)
		}
	}
	return crc64.Update(binary.BigEndian.Uint64(secret[:]), loopTable, text) // In one piece it is much faster.
}

// usualLoop is room for what is summed of most requests: each ACK to a 2xx has it done.
const usualLoop = 512

var loopTable = crc64.MakeTable(crc64.ECMA)
