package storetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
)

type located struct {
	aor sipaddr.AOR
	b   *location.Binding
}

// located returns the bindings by AOR and id.
func (m *Mem) located() []located {
	keys := map[int64]sipaddr.AOR{}
	for _, u := range m.users {
		keys[u.ID] = u.Key
	}
	all := make([]located, 0, len(m.bindings))
	for _, b := range m.bindings {
		all = append(all, located{keys[b.UserID], b})
	}
	slices.SortFunc(all, func(a, b located) int {
		return cmp.Or(strings.Compare(string(a.aor), string(b.aor)), cmp.Compare(a.b.ID, b.b.ID))
	})
	return all
}

// LoadBindings implements location.Store.
func (m *Mem) LoadBindings(ctx context.Context, each func(aor sipaddr.AOR, b *location.Binding) error) error {
	if err := m.beginRead(ctx); err != nil {
		return err
	}
	all := m.located()
	m.mu.RUnlock()
	for _, l := range all {
		b := *l.b
		if err := each(l.aor, &b); err != nil {
			return err
		}
	}
	return nil
}

// LoadAOR implements location.Store.
func (m *Mem) LoadAOR(ctx context.Context, aor sipaddr.AOR) ([]*location.Binding, error) {
	var bs []*location.Binding
	err := m.LoadBindings(ctx, func(a sipaddr.AOR, b *location.Binding) error {
		if a == aor {
			bs = append(bs, b)
		}
		return nil
	})
	return bs, err
}

// MaxID implements location.Store.
func (m *Mem) MaxID(ctx context.Context) (int64, error) {
	if err := m.beginRead(ctx); err != nil {
		return 0, err
	}
	defer m.mu.RUnlock()
	var highest int64
	for id := range m.bindings {
		highest = max(highest, id)
	}
	return highest, nil
}

// Commit implements location.Store. While Fail is set the error wraps location.ErrNotCommitted, unless Fail's error
// wraps location.ErrUnknownOutcome.
func (m *Mem) Commit(ctx context.Context, sets []location.RowSet) ([]error, error) {
	if err := m.begin(ctx); err != nil {
		if !errors.Is(err, location.ErrUnknownOutcome) {
			err = fmt.Errorf("%w: %w", location.ErrNotCommitted, err)
		}
		return nil, err
	}
	defer m.mu.Unlock()
	var errs []error
	for i, set := range sets {
		if len(set.Upsert) > 0 && m.userByID(set.UserID) == nil {
			if errs == nil {
				errs = make([]error, len(sets))
			}
			errs[i] = notFound("user", string(set.AOR))
			continue
		}
		for _, id := range set.Delete {
			delete(m.bindings, id)
		}
		for _, b := range set.Upsert {
			c := *b
			c.Conn = 0 // A connection does not outlive the process.
			m.bindings[b.ID] = &c
		}
	}
	return errs, nil
}

// DeleteExpired implements location.Store.
func (m *Mem) DeleteExpired(ctx context.Context, before time.Time) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	maps.DeleteFunc(m.bindings, func(_ int64, b *location.Binding) bool {
		return !b.Expires.IsZero() && b.Expires.Before(before)
	})
	return nil
}

// Contacts implements store.Admin.
func (m *Mem) Contacts(ctx context.Context, aor sipaddr.AOR, each func(*store.Contact) error) error {
	if err := m.beginRead(ctx); err != nil {
		return err
	}
	all := m.located()
	m.mu.RUnlock()
	now := time.Now()
	for _, l := range all {
		if aor != "" && l.aor != aor {
			continue
		}
		b := l.b
		c := store.Contact{
			ID: b.ID, AOR: l.aor, URI: b.URI, DisplayName: b.DisplayName, Q: b.Q, Action: store.Action(b.Action),
			Expires: b.Expires.Wall(now), CallID: b.CallID, CSeq: b.CSeq, InstanceID: b.InstanceID, RegID: b.RegID, Path: b.Path,
			Received: store.AddrText(b.Source), Flow: store.FlowText(b.Proto, b.ByFlow), UserAgent: b.UserAgent, Methods: b.Methods,
			LocalAddr: store.AddrText(b.Local), Updated: b.Updated.Wall(now),
		}
		if err := each(&c); err != nil {
			return err
		}
	}
	return nil
}

// RemoveContacts implements store.Admin.
func (m *Mem) RemoveContacts(ctx context.Context, aor sipaddr.AOR, uri string) (int, error) {
	if err := m.begin(ctx); err != nil {
		return 0, err
	}
	defer m.mu.Unlock()
	u := m.users[aor]
	if u == nil {
		return 0, notFound("user", string(aor))
	}
	n := len(m.bindings)
	maps.DeleteFunc(m.bindings, func(_ int64, b *location.Binding) bool {
		return b.UserID == u.ID && (uri == "" || b.URI == uri)
	})
	return n - len(m.bindings), nil
}
