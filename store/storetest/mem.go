package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
)

// Mem is a store in memory: store.Store and location.Store with the rules of the SQL tables. New makes one.
type Mem struct {
	mu       sync.RWMutex
	fail     error // guarded by mu, like all below
	servers  []store.Server
	settings map[int64]map[string]string // server id -> name -> value
	domains  []store.Domain
	classes  []store.GatewayClass
	users    map[sipaddr.AOR]*store.User
	creds    map[credKey]store.Credential
	aliases  []store.Alias
	peers    []store.TrustedPeer
	bindings map[int64]*location.Binding
	log      []store.LogRow
	logged   map[string]bool // event ids
	changes  []change
	nextID   int64
	watchers map[chan struct{}]bool
	seq      int64

	thirdParties []store.ThirdParty // without keys

	dialRules []store.DialRule
	mapRules  []store.GatewayRule
	gateways  []store.Gateway
	planTests []store.PlanTest
	forwards  []store.Forward // without keys
	audit     []store.AuditEntry
}

type credKey struct {
	realm, username string
	algorithm       store.Algorithm
}

type change struct {
	seq        int64
	table, key string
	id         int64
	at         time.Time
}

// ServerName is the server record that New makes.
const ServerName = "sipd"

// New returns a store with one server record and nothing else.
func New() *Mem {
	m := &Mem{
		settings: map[int64]map[string]string{1: {}},
		servers:  []store.Server{{ID: 1, Name: ServerName}},
		users:    map[sipaddr.AOR]*store.User{},
		creds:    map[credKey]store.Credential{},
		bindings: map[int64]*location.Binding{},
		logged:   map[string]bool{},
		watchers: map[chan struct{}]bool{},
		nextID:   1,
	}
	return m
}

var (
	_ store.Store    = (*Mem)(nil)
	_ location.Store = (*Mem)(nil)
)

// Fail makes every call return err until it is called with nil: the database is away.
func (m *Mem) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// LogRows returns what AppendLog has kept.
func (m *Mem) LogRows() []store.LogRow {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.Clone(m.log)
}

// begin locks for a call that writes (end unlocks) or says why not.
func (m *Mem) begin(ctx context.Context) error {
	m.mu.Lock()
	if err := cmp.Or(ctx.Err(), m.fail); err != nil {
		m.mu.Unlock()
		return err
	}
	return nil
}

// beginRead is begin for a call that reads (endRead unlocks).
func (m *Mem) beginRead(ctx context.Context) error {
	m.mu.RLock()
	if err := cmp.Or(ctx.Err(), m.fail); err != nil {
		m.mu.RUnlock()
		return err
	}
	return nil
}

func (m *Mem) id() int64 {
	m.nextID++
	return m.nextID
}

// changed writes a row of changes and wakes the watchers.
func (m *Mem) changed(table, key string, id int64) {
	m.seq++
	m.changes = append(m.changes, change{m.seq, table, key, id, time.Now()})
	for c := range m.watchers {
		select {
		case c <- struct{}{}:
		default: // It has not seen the last one yet.
		}
	}
}

// Load implements store.Reader.
func (m *Mem) Load(ctx context.Context, serverName string, into store.Sink) (store.Server, int64, error) {
	if err := m.beginRead(ctx); err != nil {
		return store.Server{}, 0, err
	}
	defer m.mu.RUnlock()
	server, err := store.PickServer(m.servers, serverName)
	if err != nil {
		return store.Server{}, 0, err
	}
	t := store.Tables{Settings: m.settings[server.ID], Domains: m.domainsOf(server.ID), Aliases: m.aliases, ThirdParties: m.thirdParties, TrustedPeers: m.peers,
		Forwards: m.forwards, Plan: *m.planRows()}
	for _, u := range m.sorted() {
		t.Users = append(t.Users, *u)
		t.Credentials = append(t.Credentials, m.credsOf(u.ID)...)
	}
	t.Feed(into)
	return server, m.seq, nil
}

// Delta implements store.Reader.
func (m *Mem) Delta(ctx context.Context, serverID, seq int64) (*store.Delta, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	d := &store.Delta{Seq: m.seq}
	if seq > m.seq || m.seq-seq > store.MaxDelta {
		d.Full = true
		return d, nil
	}
	ids, names, others, forwards := map[int64]bool{}, map[string]bool{}, map[int64]bool{}, map[int64]bool{}
	plan := false
	for _, c := range m.changes {
		switch {
		case c.seq <= seq:
		case c.key == "*":
			return &store.Delta{Seq: m.seq, Full: true}, nil
		case c.table == "users" || c.table == "credentials":
			ids[c.id] = true
		case c.table == "aliases":
			names[c.key] = true
		case c.table == "third_parties":
			others[c.id] = true
		case c.table == "forwards":
			forwards[c.id] = true
		case c.table == "dialplan" || c.table == "gatewaymap" || c.table == "gateways" || c.table == "gateway_classes":
			plan = true
		case c.table == "trusted_peers":
			d.PeersChanged = true
		case c.table == "domains":
			d.DomainsChanged = true
		case c.table == "server_settings" && c.id == serverID:
			d.SettingsChanged = true
		}
	}
	d.UserIDs = slices.Sorted(maps.Keys(ids))
	for _, u := range m.sorted() {
		if ids[u.ID] {
			d.Users = append(d.Users, *u)
			d.Credentials = append(d.Credentials, m.credsOf(u.ID)...)
		}
	}
	d.AliasNames = slices.Sorted(maps.Keys(names))
	for _, a := range m.aliases {
		if names[a.Alias] {
			d.Aliases = append(d.Aliases, a)
		}
	}
	d.ThirdPartyIDs = slices.Sorted(maps.Keys(others))
	for _, t := range m.thirdParties {
		if others[t.UserID] {
			d.ThirdParties = append(d.ThirdParties, t)
		}
	}
	d.ForwardIDs = slices.Sorted(maps.Keys(forwards))
	for _, f := range m.forwards {
		if forwards[f.UserID] {
			d.Forwards = append(d.Forwards, f)
		}
	}
	if plan {
		d.Plan = m.planRows()
	}
	if d.PeersChanged {
		d.Peers = slices.Clone(m.peers)
	}
	if d.DomainsChanged {
		d.Domains = m.domainsOf(serverID)
	}
	if d.SettingsChanged {
		d.Settings = maps.Clone(m.settings[serverID])
	}
	return d, nil
}

// Watch implements store.Reader.
func (m *Mem) Watch(ctx context.Context, notify func()) error {
	c := make(chan struct{}, 1)
	if err := m.begin(ctx); err != nil {
		return err
	}
	m.watchers[c] = true
	m.mu.Unlock()
	defer func() {
		m.mu.Lock()
		delete(m.watchers, c)
		m.mu.Unlock()
	}()
	notify()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-c:
			notify()
		}
	}
}

// TrimChanges implements store.Reader.
func (m *Mem) TrimChanges(ctx context.Context, before time.Time) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	m.changes = slices.DeleteFunc(m.changes, func(c change) bool { return c.at.Before(before) })
	return nil
}

// AppendLog implements store.Logger.
func (m *Mem) AppendLog(ctx context.Context, rows []store.LogRow) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for _, r := range rows {
		if !m.logged[r.EventID] {
			m.logged[r.EventID] = true
			m.log = append(m.log, r)
		}
	}
	return nil
}

// sorted returns the users by key.
func (m *Mem) sorted() []*store.User {
	us := slices.Collect(maps.Values(m.users))
	slices.SortFunc(us, func(a, b *store.User) int { return strings.Compare(string(a.Key), string(b.Key)) })
	return us
}

func (m *Mem) userByID(id int64) *store.User {
	for _, u := range m.users {
		if u.ID == id {
			return u
		}
	}
	return nil
}

func (m *Mem) credsOf(id int64) []store.Credential {
	var cs []store.Credential
	for _, c := range m.creds {
		if c.UserID == id {
			cs = append(cs, c)
		}
	}
	slices.SortFunc(cs, func(a, b store.Credential) int {
		return cmp.Or(strings.Compare(a.Username, b.Username), strings.Compare(a.Realm, b.Realm), cmp.Compare(a.Algorithm, b.Algorithm))
	})
	return cs
}

func (m *Mem) domainsOf(serverID int64) []store.Domain {
	var ds []store.Domain
	for _, d := range m.domains {
		if d.ServerID == 0 || d.ServerID == serverID {
			ds = append(ds, d)
		}
	}
	return ds
}

func notFound(what, name string) error { return fmt.Errorf("%s %s: %w", what, name, store.ErrNotFound) }
func exists(what, name string) error   { return fmt.Errorf("%s %s: %w", what, name, store.ErrExists) }
