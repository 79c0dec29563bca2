package proxy

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"net/netip"

	"sipd/server/message"
	"sipd/server/proxy/token"
	"sipd/server/transaction"
)

// loopHash is the second part of our branches (RFC 5393 4.2.1): a hash over all that admission and routing read of a request:
// the received Request-URI, Route, who calls and with what credentials, the tags that a token is held against, Proxy-Require. A
// request that comes back with another one of these is a spiral, with the same ones a loop. Call-ID and CSeq number keep two
// transactions from failing by the same collision (4.2.4). The method MUST NOT count, so that CANCEL and ACK have the branch of
// their INVITE; nor may the topmost Via, which no loop leaves as it was.
func (p *Proxy) loopHash(m *message.Message) uint64 {
	var h maphash.Hash
	h.SetSeed(p.seed)
	var number [4]byte
	binary.BigEndian.PutUint32(number[:], m.CSeq())
	h.Write(number[:])
	for _, part := range [...][]byte{m.RequestURI().Text, m.FromAddress().URI.Text, m.FromTag(), m.ToTag(), m.CallID()} {
		h.Write(part)
		h.WriteByte(0)
	}
	for _, id := range [...]message.HeaderID{message.Route, message.ProxyRequire, message.ProxyAuthorization} {
		h.WriteByte(0)
		if !m.Has(id) {
			continue
		}
		vs := m.Values(id)
		for v, ok := vs.Next(); ok; v, ok = vs.Next() {
			h.Write(v)
			h.WriteByte(',')
		}
	}
	return h.Sum64()
}

// hops counts the Via values of a request, and tells whether it has been here before and nothing that routing reads has
// changed (RFC 5393 4.2.2): a Via whose sent-by is ours and whose branch carries the same hash. A Via of somebody else's that
// we cannot read is passed over (4.2.4).
func (p *Proxy) hops(m *message.Message, secret *[32]byte) (n int, looped bool) {
	var hash [2]uint64 // of branches with a transaction and without
	var hashed [2]bool
	values := m.Values(message.Via)
	for text, ok := values.Next(); ok; text, ok = values.Next() {
		n++
		via := m.Top()
		if n > 1 {
			v, err := message.ParseVia(text)
			if err != nil {
				continue
			}
			via = &v
		}
		h, stateless, ours := transaction.LoopHash(via.Branch)
		if !ours || !p.ownSentBy(via) {
			continue
		}
		kind := 0
		if stateless {
			kind = 1
		}
		switch {
		case hashed[kind]:
		case stateless:
			hash[kind] = token.Loop(m, secret)
		default:
			hash[kind] = p.loopHash(m)
		}
		hashed[kind] = true
		if h == hash[kind] {
			return n, true
		}
	}
	return n, false
}

func (p *Proxy) ownSentBy(v *message.ViaValue) bool {
	port := v.Port
	if port == 0 {
		port = 5060
	}
	if len(p.name) > 0 && bytes.EqualFold(v.Host, p.name) {
		return true
	}
	a, err := netip.ParseAddr(string(v.Host))
	return err == nil && p.net.Own(netip.AddrPortFrom(a, port))
}
