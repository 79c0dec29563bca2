package server

import (
	"time"

	"sipd/server/message"
	"sipd/server/target"
)

// recurse is proxy.Recurse: target.Recurse with the tables of now.
func (s *Server) recurse(r *target.Redirection, now time.Time, d *target.Decision) {
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	s.refresh(x)
	target.Recurse(x.tables, r, now, d)
}

// forwards is proxy.Next: target.Next with the tables of now.
func (s *Server) forwards(f *target.Failure, now time.Time, d *target.Decision) {
	x := s.scratch.Get().(*scratch)
	defer s.scratch.Put(x)
	s.refresh(x)
	target.Next(x.tables, f, now, d)
}

// maxDirectives bounds the words of Request-Disposition that are read: there are six types of them (RFC 3841 9.1, 11).
const maxDirectives = 20

// disposition reads Request-Disposition.
func disposition(m *message.Message) (d target.Disposition) {
	words := m.Values(message.RequestDisposition)
	for range maxDirectives {
		word, ok := words.Next()
		if !ok {
			break
		}
		d.Add(word)
	}
	return d
}
