package transaction

import (
	"bytes"
	"hash/maphash"

	"sipd/server/message"
)

// matchTable finds server transactions by the key of RFC 3261 17.2.3. It is a hash table of chains through the
// transactions themselves; unlike a map it allocates only to grow.
type matchTable struct {
	heads []*Server // a power of two
	count int
}

const firstHeads = 64

func (t *matchTable) init() { t.heads = make([]*Server, firstHeads) }

func (t *matchTable) head(hash uint64) **Server { return &t.heads[hash&uint64(len(t.heads)-1)] }

func (t *matchTable) add(tx *Server) {
	if t.count >= len(t.heads) {
		t.grow()
	}
	h := t.head(tx.hash)
	tx.chain = *h
	*h = tx
	t.count++
}

func (t *matchTable) remove(tx *Server) {
	for p := t.head(tx.hash); *p != nil; p = &(*p).chain {
		if *p == tx {
			*p = tx.chain
			tx.chain = nil
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
			next := tx.chain
			h := t.head(tx.hash)
			tx.chain = *h
			*h = tx
			tx = next
		}
	}
}

// oldMatch is what RFC 2543 matching compares beside the key.
type oldMatch struct {
	toTag    []byte // of the request
	response []byte // To tag of the final response sent
}

// isOld tells whether m comes from an RFC 2543 client. A branch of nothing but the magic cookie identifies nothing either
// (RFC 4475 3.2.1).
func isOld(m *message.Message) bool {
	b := m.Top().Branch
	return len(b) <= len(magicCookie) || !hasMagicCookie(b)
}

// setKey writes the match key of m into s.key and returns its hash. A CANCEL and an ACK have the key of their INVITE:
// the method is compared apart (9.2), and so is, for RFC 2543, the To tag.
func (s *Shard) setKey(m *message.Message) uint64 {
	top := m.Top()
	k := s.key[:0]
	if isOld(m) {
		// RFC 3261 17.2.3: Request-URI, From tag, Call-ID, CSeq number, top Via.
		cseq := m.CSeq()
		k = append(k, 'O', byte(cseq>>24), byte(cseq>>16), byte(cseq>>8), byte(cseq))
		k = append(k, m.RequestURI().Text...)
		k = append(k, 0)
		k = append(k, m.FromTag()...)
		k = append(k, 0)
		k = append(k, m.CallID()...)
		k = append(k, 0)
		k = appendLower(k, top.Text)
	} else {
		// Branch and sent-by; both are compared without case.
		k = append(k, 'N', byte(top.Port>>8), byte(top.Port))
		k = appendLower(k, top.Host)
		k = append(k, 0)
		k = appendLower(k, top.Branch)
	}
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
	hash := s.setKey(m)
	method := m.Method()
	if method == message.ACK {
		method = message.INVITE
	}
	for tx := *s.match.head(hash); tx != nil; tx = tx.chain {
		if tx.hash != hash || tx.method != method || !bytes.Equal(tx.key, s.key) {
			continue
		}
		if tx.old != nil && !tx.old.matches(tx, m) {
			continue
		}
		return tx
	}
	return nil
}

// matches compares the To tag as RFC 3261 17.2.3 has it for RFC 2543 clients: that of an ACK with the response's, that of
// a retransmission with the request's. RFC 6026 6: an ACK is not compared in Accepted, there it is the user's.
func (o *oldMatch) matches(tx *Server, m *message.Message) bool {
	if m.Method() == message.ACK {
		return tx.state == accepted || bytes.Equal(o.response, m.ToTag())
	}
	return bytes.Equal(o.toTag, m.ToTag())
}

// findCancelled returns the transaction that a CANCEL names (9.2), nil when there is none.
func (s *Shard) findCancelled(m *message.Message) *Server {
	hash := s.setKey(m)
	for tx := *s.match.head(hash); tx != nil; tx = tx.chain {
		if tx.hash == hash && tx.method != message.CANCEL && bytes.Equal(tx.key, s.key) &&
			(tx.old == nil || bytes.Equal(tx.old.toTag, m.ToTag())) {
			return tx
		}
	}
	return nil
}
