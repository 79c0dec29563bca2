package answers

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"sipd/config"
	"sipd/locator"
	"sipd/resolve"
	"sipd/server/target"
)

// Sources are who knows. Its methods may be called by several goroutines.
type Sources struct {
	resolver *resolve.Resolver
	log      *slog.Logger

	mu      sync.RWMutex // a leaf
	root    string       // EnumRoot, "" for none
	setting config.Locator
	locator *locator.Locator // nil: there is none
	closed  bool
}

// New makes Sources without settings: they know nothing before Follow. The resolver is the caller's to close.
func New(resolver *resolve.Resolver, log *slog.Logger) *Sources {
	return &Sources{resolver: resolver, log: log}
}

// Follow takes EnumRoot and Locator of the settings. What is under way with another Locator ends, and is told that nobody knows.
func (s *Sources) Follow(set *config.Settings) {
	s.mu.RLock()
	same := s.root == set.EnumRoot && s.setting == set.Locator
	s.mu.RUnlock()
	if same {
		return
	}
	var next *locator.Locator
	if set.Locator != (config.Locator{}) {
		var err error
		next, err = locator.New(locator.Config{Program: set.Locator.Program, URL: set.Locator.URL, Log: s.log})
		if err != nil { // config has looked at it.
			s.log.Error("the setting Locator cannot be used", "err", err)
		}
	}
	s.mu.Lock()
	s.root = set.EnumRoot
	old := next // one that is not needed
	if s.setting != set.Locator && !s.closed {
		old, s.locator, s.setting = s.locator, next, set.Locator
	}
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

// Close ends what Locator is asked, and waits for it.
func (s *Sources) Close() {
	s.mu.Lock()
	old := s.locator
	s.locator, s.closed = nil, true
	s.mu.Unlock()
	if old != nil {
		old.Close()
	}
}

func (s *Sources) now() (root string, l *locator.Locator) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.root, s.locator
}

// Status is that of the Locator now. ok: there is one.
func (s *Sources) Status(now time.Time) (setting string, st locator.Status, ok bool) {
	s.mu.RLock()
	l, setting := s.locator, s.setting.String()
	s.mu.RUnlock()
	if l == nil {
		return "", st, false
	}
	return setting, l.Status(now), true
}

// Ask is server.Asker: it never waits. done is called once by another goroutine, unless ready.
func (s *Sources) Ask(q target.Question, done func([]target.Found)) (found []target.Found, ready bool) {
	found, _, ready = s.ask(q, func(found []target.Found, _ error) { done(found) })
	return found, ready
}

// ask is Ask with why nobody knows. resolve and locator have told the log.
func (s *Sources) ask(q target.Question, done func([]target.Found, error)) (found []target.Found, err error, ready bool) {
	root, l := s.now()
	switch {
	case q.Kind == target.Enum && root != "":
		list, err, ready := s.resolver.Enum(q.Subject, root, func(list []resolve.EnumTarget, err error) { done(byNumber(list, err)) })
		found, err = byNumber(list, err)
		return found, err, ready
	case q.Kind == target.Locate && l != nil:
		list, err, ready := l.Find(locator.Query{AOR: q.Subject, Caller: q.Caller, Method: q.Method},
			func(list []locator.Contact, err error) { done(located(list, err)) })
		found, err = located(list, err)
		return found, err, ready
	}
	return nil, nil, true
}

// byNumber makes places of order and preference (RFC 6116 5.2): the list is ordered by them.
func byNumber(list []resolve.EnumTarget, err error) ([]target.Found, error) {
	switch {
	case errors.Is(err, resolve.ErrNoTarget):
		return nil, nil
	case err != nil:
		return nil, err
	}
	found, place := make([]target.Found, len(list)), 0
	for i, t := range list {
		if i > 0 && (t.Order != list[i-1].Order || t.Preference != list[i-1].Preference || t.Name != list[i-1].Name) {
			place++
		}
		found[i] = target.Found{URI: t.URI, Place: place}
	}
	return found, nil
}

func located(list []locator.Contact, err error) ([]target.Found, error) {
	if err != nil {
		return nil, err
	}
	found := make([]target.Found, len(list))
	for i, c := range list {
		found[i] = target.Found{URI: c.URI, Q: c.Q}
	}
	return found, nil
}

// Decide is target.Decide of what f says, and waits for what has to be asked until ctx ends; then nobody knows. It is for commands: a
// server must not wait.
func (s *Sources) Decide(ctx context.Context, t target.Tables, f *target.Facts, now time.Time, d *target.Decision) {
	root, l := s.now()
	t.Enum, t.Locator = root != "", l != nil
	for target.Decide(t, f, now, d); d.Kind == target.Ask; target.Decide(t, f, now, d) {
		a := target.Answer{Question: d.Question}
		came := make(chan target.Answer, 1)
		found, err, ready := s.ask(d.Question, func(found []target.Found, err error) {
			came <- target.Answer{Question: a.Question, Found: found, Err: err}
		})
		if a.Found, a.Err = found, err; !ready {
			select {
			case a = <-came:
			case <-ctx.Done():
				a.Err = ctx.Err()
			}
		}
		f.Answers = append(f.Answers, a)
	}
}
