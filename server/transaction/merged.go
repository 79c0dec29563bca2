package transaction

import (
	"hash/maphash"

	"sipd/server/message"
)

// Merged tells whether m, which matches no transaction, has come before by another path (RFC 3261 8.2.2.2): it has no To tag,
// and a transaction whose request the server answers itself has its From tag, Call-ID, CSeq and Request-URI. The RFC does not
// compare the Request-URI, which is always the same user at its UAS; here each names a UAS of its own, and a fork to two of
// our users is no merging. What is proxied is not looked at: a proxy takes each copy for a request of its own (a spiral).
func (s *Shard) Merged(m *message.Message) bool {
	if s.merges.count == 0 || len(m.ToTag()) != 0 {
		return false
	}
	hash := s.mergeHash(m)
	s.merge = hash
	for tx := *s.merges.head(hash); tx != nil; tx = tx.links[byMerge].next {
		if tx.links[byMerge].hash == hash { // Keyed and of 64 bits: nobody finds another request that has it.
			return true
		}
	}
	return false
}

// mergeHash hashes what merged requests have in common; never 0.
func (s *Shard) mergeHash(m *message.Message) uint64 {
	cseq := m.CSeq()
	k := append(s.key[:0], byte(cseq>>24), byte(cseq>>16), byte(cseq>>8), byte(cseq))
	for _, part := range [...][]byte{m.MethodText(), m.CallID(), m.FromTag()} {
		k = append(append(k, part...), 0)
	}
	k = append(k, m.RequestURI().Text...)
	s.key = k
	return max(1, maphash.Bytes(s.table.seed, k))
}

// answering notes that the server itself answers m, in tx. A CANCEL has the From tag, Call-ID and CSeq number of its
// request and is never merged.
func (s *Shard) answering(tx *Server, m *message.Message) {
	if len(m.ToTag()) != 0 || tx.method == message.CANCEL {
		return
	}
	hash := s.merge // Merged has asked about this request.
	if hash == 0 {
		hash = s.mergeHash(m)
	}
	tx.links[byMerge].hash = hash
	s.merges.add(tx)
}

// answered ends that.
func (s *Shard) answered(tx *Server) {
	if tx.links[byMerge].hash != 0 {
		s.merges.remove(tx)
	}
}
