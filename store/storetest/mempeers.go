package storetest

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"sipd/sipaddr"
	"sipd/store"
)

// ThirdParties implements store.Admin.
func (m *Mem) ThirdParties(ctx context.Context, user sipaddr.AOR, each func(*store.ThirdParty) error) error {
	if err := m.beginRead(ctx); err != nil {
		return err
	}
	var rows []store.ThirdParty
	for _, t := range m.thirdParties {
		t.User, t.Registrant = m.userByID(t.UserID).Key, m.userByID(t.RegistrantID).Key
		if user == "" || t.User == user {
			rows = append(rows, t)
		}
	}
	m.mu.RUnlock()
	slices.SortFunc(rows, func(a, b store.ThirdParty) int {
		return cmp.Or(strings.Compare(string(a.User), string(b.User)), strings.Compare(string(a.Registrant), string(b.Registrant)))
	})
	for i := range rows {
		if err := each(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}

// AddThirdParty implements store.Admin.
func (m *Mem) AddThirdParty(ctx context.Context, user, registrant sipaddr.AOR) (store.ThirdParty, error) {
	if err := m.begin(ctx); err != nil {
		return store.ThirdParty{}, err
	}
	defer m.mu.Unlock()
	for _, key := range [...]sipaddr.AOR{user, registrant} {
		if m.users[key] == nil {
			return store.ThirdParty{}, notFound("user", string(key))
		}
	}
	t := store.ThirdParty{UserID: m.users[user].ID, RegistrantID: m.users[registrant].ID}
	if err := t.Check(); err != nil {
		return store.ThirdParty{}, err
	}
	if slices.Contains(m.thirdParties, t) {
		return store.ThirdParty{}, exists("third party", string(registrant)+" of "+string(user))
	}
	n := 0
	for _, o := range m.thirdParties {
		if o.UserID == t.UserID {
			n++
		}
	}
	if n == store.MaxThirdParties {
		return store.ThirdParty{}, fmt.Errorf("%w: there are %d third parties of %s already", store.ErrInvalid, n, user)
	}
	m.thirdParties = append(m.thirdParties, t)
	m.changed("third_parties", string(user), t.UserID)
	t.User, t.Registrant = user, registrant
	return t, nil
}

// RemoveThirdParty implements store.Admin.
func (m *Mem) RemoveThirdParty(ctx context.Context, user, registrant sipaddr.AOR) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	of, by := m.users[user], m.users[registrant]
	n := len(m.thirdParties)
	if of != nil && (registrant == "" || by != nil) {
		m.thirdParties = slices.DeleteFunc(m.thirdParties, func(t store.ThirdParty) bool {
			return t.UserID == of.ID && (registrant == "" || t.RegistrantID == by.ID)
		})
	}
	if len(m.thirdParties) == n {
		return notFound("third party", string(registrant)+" of "+string(user))
	}
	m.changed("third_parties", string(user), of.ID)
	return nil
}

// removeThirdParties is the cascade of a user who goes.
func (m *Mem) removeThirdParties(id int64) {
	m.thirdParties = slices.DeleteFunc(m.thirdParties, func(t store.ThirdParty) bool {
		gone := t.UserID == id || t.RegistrantID == id
		if gone {
			m.changed("third_parties", "", t.UserID)
		}
		return gone
	})
}

// TrustedPeers implements store.Admin.
func (m *Mem) TrustedPeers(ctx context.Context) ([]store.TrustedPeer, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return slices.Clone(m.peers), nil
}

// AddTrustedPeer implements store.Admin.
func (m *Mem) AddTrustedPeer(ctx context.Context, p *store.TrustedPeer) error {
	if err := p.Normalize(); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, o := range m.peers {
		if o.SourceNets == p.SourceNets && o.TLSName == p.TLSName {
			return exists("trusted peer", fmt.Sprint(o.ID))
		}
	}
	if len(m.peers) == store.MaxTrustedPeers {
		return fmt.Errorf("%w: there are %d trusted peers already", store.ErrInvalid, len(m.peers))
	}
	p.ID = m.id()
	m.peers = append(m.peers, *p)
	m.changed("trusted_peers", fmt.Sprint(p.ID), p.ID)
	return nil
}

// RemoveTrustedPeer implements store.Admin.
func (m *Mem) RemoveTrustedPeer(ctx context.Context, id int64) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.peers, func(p store.TrustedPeer) bool { return p.ID == id })
	if i < 0 {
		return notFound("trusted peer", fmt.Sprint(id))
	}
	m.peers = slices.Delete(m.peers, i, i+1)
	m.changed("trusted_peers", fmt.Sprint(id), id)
	return nil
}
