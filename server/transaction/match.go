package transaction

import (
	"bytes"
	"hash/maphash"

	"sipd/server/message"
)

// matchTable finds server transactions by a hash: of the key of RFC 3261 17.2.3, or of what merged requests have in common
// (8.2.2.2). It is a hash table of chains through the transactions themselves; unlike a map it allocates only to grow.
type matchTable struct {
	heads []*Server // a power of two
	count int
	by    int // which of a transaction's links are this table's
}

// link is a transaction's place in a matchTable.
type link struct {
	hash uint64
	next *Server // with the same place in the table
}

// The links of a transaction.
const (
	byKey = iota
	byMerge
	links
)

const firstHeads = 64

func (t *matchTable) init(by int) { *t = matchTable{heads: make([]*Server, firstHeads), by: by} }

func (t *matchTable) head(hash uint64) **Server { return &t.heads[hash&uint64(len(t.heads)-1)] }

func (t *matchTable) add(tx *Server) {
	if t.count >= len(t.heads) {
		t.grow()
	}
	t.push(tx)
	t.count++
}

func (t *matchTable) push(tx *Server) {
	l := &tx.links[t.by]
	h := t.head(l.hash)
	l.next = *h
	*h = tx
}

func (t *matchTable) remove(tx *Server) {
	l := &tx.links[t.by]
	for p := t.head(l.hash); *p != nil; p = &(*p).links[t.by].next {
		if *p == tx {
			*p = l.next
			l.next = nil
			t.count--
			return
		}
	}
}

func (t *matchTable) grow() {
	old := t.heads
	t.heads = make([]*Server, 2*len(old))
	for _, tx := range old {
		for tx != nil {
			next := tx.links[t.by].next
			t.push(tx)
			tx = next
		}
	}
}

// oldMatch is what RFC 2543 matching compares beside the key.
type oldMatch struct {
	response []byte // To tag of the final response sent
}

// isOld tells whether m comes from an RFC 2543 client. A branch of nothing but the magic cookie identifies nothing either
// (RFC 4475 3.2.1).
func isOld(m *message.Message) bool {
	b := m.Top().Branch
	return len(b) <= len(magicCookie) || !hasMagicCookie(b)
}

// setKey writes the match key of m into s.key and returns its hash. A CANCEL and an ACK have the key of their INVITE: the
// method is compared apart (9.2).
func (s *Shard) setKey(m *message.Message) uint64 {
	if isOld(m) {
		return s.setOldKey(m, m.ToTag())
	}
	return s.hashKey(m, appendViaKey(s.key[:0], m.Top()))
}

// appendViaKey writes branch and sent-by; both are compared without case.
func appendViaKey(k []byte, via *message.ViaValue) []byte {
	k = append(k, 'N', byte(via.Port>>8), byte(via.Port))
	k = appendLower(k, via.Host)
	k = append(k, 0)
	return appendLower(k, via.Branch)
}

// InviteOf returns the server transaction of the INVITE that its sender sent with via, nil when there is none.
func (s *Shard) InviteOf(via *message.ViaValue) *Server {
	s.key = appendViaKey(s.key[:0], via)
	return s.lookUp(maphash.Bytes(s.table.seed, s.key), message.INVITE, nil)
}

// setOldKey is setKey for RFC 2543, with the To tag of the request (17.2.3). It is part of the key, so that nobody can make a
// chain of transactions that differ in nothing else.
func (s *Shard) setOldKey(m *message.Message, toTag []byte) uint64 {
	cseq := m.CSeq()
	k := append(s.key[:0], 'O', byte(cseq>>24), byte(cseq>>16), byte(cseq>>8), byte(cseq))
	for _, part := range [...][]byte{m.RequestURI().Text, toTag, m.FromTag(), m.CallID()} {
		k = append(append(k, part...), 0)
	}
	k = appendLower(k, m.Top().Text)
	return s.hashKey(m, k)
}

// hashKey ends the key k.
func (s *Shard) hashKey(m *message.Message, k []byte) uint64 {
	if m.Method() == message.Unknown {
		k = append(k, 0)
		k = append(k, m.MethodText()...)
	}
	s.key = k
	return maphash.Bytes(s.table.seed, k)
}

func appendLower(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, lower(c))
	}
	return dst
}

// find returns the server transaction that m is a retransmission of, or whose ACK it is; nil when there is none.
func (s *Shard) find(m *message.Message) *Server {
	method := m.Method()
	if method != message.ACK {
		return s.lookUp(s.setKey(m), method, nil)
	}
	tx := s.lookUp(s.setKey(m), message.INVITE, m)
	if tx == nil && isOld(m) {
		tx = s.lookUp(s.setOldKey(m, nil), message.INVITE, m) // The INVITE had no To tag, the ACK has the response's.
	}
	return tx
}

// Answered tells whether a transaction has sent a final response to m, a request. It may be asked whatever has gone wrong with m,
// outside Enter and Leave, and calls nobody.
func (t *Table) Answered(m *message.Message) bool {
	if m.Top() == nil || !m.IsRequest() {
		return false
	}
	s := t.Shard(m.CallID())
	s.mu.Lock()
	defer s.mu.Unlock()
	tx := s.find(m)
	return tx != nil && tx.status >= 200
}

// lookUp finds the transaction with the key in s.key; ack is the ACK that is looked up, if it is one.
func (s *Shard) lookUp(hash uint64, method message.Method, ack *message.Message) *Server {
	for tx := *s.match.head(hash); tx != nil; tx = tx.links[byKey].next {
		if tx.links[byKey].hash == hash && tx.method == method && bytes.Equal(tx.key, s.key) && (ack == nil || tx.acknowledgedBy(ack)) {
			return tx
		}
	}
	return nil
}

// acknowledgedBy compares the To tag of an ACK with that of the response, for RFC 2543 clients (17.2.3). RFC 6026 6: in
// Accepted it is not compared, there the ACK is the user's.
func (tx *Server) acknowledgedBy(ack *message.Message) bool {
	return tx.old == nil || tx.state == accepted || bytes.Equal(tx.old.response, ack.ToTag())
}

// findCancelled returns the transaction that a CANCEL names (9.2), nil when there is none.
func (s *Shard) findCancelled(m *message.Message) *Server {
	hash := s.setKey(m)
	for tx := *s.match.head(hash); tx != nil; tx = tx.links[byKey].next {
		if tx.links[byKey].hash == hash && tx.method != message.CANCEL && bytes.Equal(tx.key, s.key) {
			return tx
		}
	}
	return nil
}
