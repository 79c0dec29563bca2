package resolve

import (
	"errors"
	"net/netip"
	"time"
)

const (
	// mute is how often a server must have been silent, to whatever question, until it is said: some zones are slow, and their
	// questions time out while the server is well.
	mute = 5
	// tellEvery is how often at most the log hears of one thing.
	tellEvery = 30 * time.Second
)

// nameServer is one that is asked.
type nameServer struct {
	addr             netip.AddrPort
	answered, failed uint64
	silent           time.Time // it is asked after the others until then
	row              int       // how often it has been silent without an answer in between
	err              error     // the last
	at               time.Time // of err
	told             time.Time // when the log last heard of it
	down             bool      // the log has heard that it is silent
}

// heard notes how a question to a server ended.
func (r *Resolver) heard(addr netip.AddrPort, err error, now time.Time) {
	lives := err == nil || errors.Is(err, errRefused) || errors.Is(err, ErrAnswer)
	fell, rose := false, false
	r.mu.Lock()
	for i := range r.servers {
		if s := &r.servers[i]; s.addr == addr {
			fell, rose = s.heard(err, lives, now)
			break
		}
	}
	r.mu.Unlock()
	switch {
	case fell:
		r.log.Warn("name server does not answer", "server", addr, "err", err)
	case rose:
		r.log.Info("name server answers again", "server", addr)
	}
}

// heard reports what the log should hear of.
func (s *nameServer) heard(err error, lives bool, now time.Time) (fell, rose bool) {
	if err == nil {
		s.answered++
	} else {
		s.failed++
		s.err, s.at = err, now
	}
	if lives {
		rose = s.down
		s.silent, s.row, s.down = time.Time{}, 0, false
		return false, rose
	}
	s.silent = now.Add(shunned)
	if s.row++; s.row >= mute && !s.down && now.Sub(s.told) >= tellEvery {
		s.down, s.told = true, now
		return true, false
	}
	return false, false
}

// ServerStatus is what is known of a name server.
type ServerStatus struct {
	Addr             netip.AddrPort
	Answered, Failed uint64
	Silent           bool  // it gave no answer lately and is asked after the others
	Down             bool  // and so often that it is not the zones: the log has heard of it
	Err              error // the last failure, nil for none
	At               time.Time
}

// Status is a Resolver in numbers.
type Status struct {
	Servers         []ServerStatus
	LookUps, Queued int    // look-ups that ask servers, and that wait for their turn
	Waiting         int    // callers of both
	Refused         uint64 // callers that got ErrBusy
	Entries, Bytes  int    // of the cache
	Panics          int64
}

// Status returns the numbers now.
func (r *Resolver) Status(now time.Time) Status {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := Status{LookUps: r.running, Queued: len(r.queue), Waiting: r.waiting, Refused: r.refused,
		Entries: len(r.cache.entries), Bytes: r.cache.bytes, Panics: r.panics}
	for i := range r.servers {
		s := &r.servers[i]
		st.Servers = append(st.Servers, ServerStatus{s.addr, s.answered, s.failed, now.Before(s.silent), s.down, s.err, s.at})
	}
	return st
}
