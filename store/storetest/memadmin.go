package storetest

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
)

// Servers implements store.Admin.
func (m *Mem) Servers(ctx context.Context) ([]store.Server, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return slices.Clone(m.servers), nil
}

// AddServer implements store.Admin.
func (m *Mem) AddServer(ctx context.Context, name string) (store.Server, error) {
	if err := store.CheckName("server", name); err != nil {
		return store.Server{}, err
	}
	if err := m.begin(ctx); err != nil {
		return store.Server{}, err
	}
	defer m.mu.Unlock()
	for _, s := range m.servers {
		if s.Name == name {
			return store.Server{}, exists("server", name)
		}
	}
	s := store.Server{ID: m.id(), Name: name}
	m.servers = append(m.servers, s)
	m.settings[s.ID] = map[string]string{}
	return s, nil
}

// Settings implements store.Admin.
func (m *Mem) Settings(ctx context.Context, serverID int64) (map[string]string, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	s := m.settings[serverID]
	if s == nil {
		return nil, notFound("server", fmt.Sprint(serverID))
	}
	return maps.Clone(s), nil
}

// SetSetting implements store.Admin.
func (m *Mem) SetSetting(ctx context.Context, serverID int64, name, value string) error {
	if err := store.CheckSetting(name, value); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	s := m.settings[serverID]
	if s == nil {
		return notFound("server", fmt.Sprint(serverID))
	}
	s[name] = value
	m.changed("server_settings", name, serverID)
	return nil
}

// RemoveSetting implements store.Admin.
func (m *Mem) RemoveSetting(ctx context.Context, serverID int64, name string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if _, ok := m.settings[serverID][name]; !ok {
		return notFound("setting", name)
	}
	delete(m.settings[serverID], name)
	m.changed("server_settings", name, serverID)
	return nil
}

// Domains implements store.Admin.
func (m *Mem) Domains(ctx context.Context) ([]store.Domain, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return slices.Clone(m.domains), nil
}

// AddDomain implements store.Admin.
func (m *Mem) AddDomain(ctx context.Context, d *store.Domain) error {
	if err := d.Normalize(); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if d.ServerID != 0 && m.settings[d.ServerID] == nil {
		return notFound("server", fmt.Sprint(d.ServerID))
	}
	for i := range m.domains {
		if m.domains[i].Name == d.Name {
			return exists("domain", d.Name)
		}
	}
	d.ID = m.id()
	m.domains = append(m.domains, *d)
	m.changed("domains", d.Name, d.ID)
	return nil
}

// RemoveDomain implements store.Admin.
func (m *Mem) RemoveDomain(ctx context.Context, name string) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	for i, d := range m.domains {
		if d.Name == name || d.Name == strings.ToLower(name) {
			m.domains = slices.Delete(m.domains, i, i+1)
			m.changed("domains", name, d.ID)
			return nil
		}
	}
	return notFound("domain", name)
}

// Classes implements store.Admin.
func (m *Mem) Classes(ctx context.Context) ([]store.GatewayClass, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return slices.SortedFunc(slices.Values(m.classes), func(a, b store.GatewayClass) int { return strings.Compare(a.Name, b.Name) }), nil
}

// AddClass implements store.Admin.
func (m *Mem) AddClass(ctx context.Context, name string) (store.GatewayClass, error) {
	if err := store.CheckName("gateway class", name); err != nil {
		return store.GatewayClass{}, err
	}
	if err := m.begin(ctx); err != nil {
		return store.GatewayClass{}, err
	}
	defer m.mu.Unlock()
	for _, c := range m.classes {
		if c.Name == name {
			return store.GatewayClass{}, exists("gateway class", name)
		}
	}
	c := store.GatewayClass{ID: m.id(), Name: name}
	m.classes = append(m.classes, c)
	m.changed("gateway_classes", "", c.ID)
	return c, nil
}

// Users implements store.Admin.
func (m *Mem) Users(ctx context.Context, domain string, each func(*store.User) error) error {
	if err := m.beginRead(ctx); err != nil {
		return err
	}
	var us []store.User
	for _, u := range m.sorted() {
		if domain == "" || strings.HasSuffix(string(u.Key), "@"+domain) {
			us = append(us, *u)
		}
	}
	m.mu.RUnlock()
	for i := range us {
		if err := each(&us[i]); err != nil {
			return err
		}
	}
	return nil
}

// User implements store.Admin.
func (m *Mem) User(ctx context.Context, key sipaddr.AOR) (*store.User, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	u := m.users[key]
	if u == nil {
		return nil, notFound("user", string(key))
	}
	c := *u
	return &c, nil
}

// AddUser implements store.Admin.
func (m *Mem) AddUser(ctx context.Context, u *store.User, creds []store.Credential) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if err := m.addUser(u, creds); err != nil {
		return err
	}
	m.changed("users", string(u.Key), u.ID)
	return nil
}

func (m *Mem) addUser(u *store.User, creds []store.Credential) error {
	if err := u.Check(); err != nil {
		return err
	}
	if m.users[u.Key] != nil {
		return exists("user", string(u.Key))
	}
	if err := m.checkClass(u); err != nil {
		return err
	}
	id := m.id()
	if err := m.addCreds(id, creds); err != nil {
		return err
	}
	u.ID = id
	u.CreatedAt = time.Now().UTC()
	u.UpdatedAt = u.CreatedAt
	c := *u
	m.users[u.Key] = &c
	return nil
}

func (m *Mem) checkClass(u *store.User) error {
	if u.GatewayClassID != 0 && !slices.ContainsFunc(m.classes, func(c store.GatewayClass) bool { return c.ID == u.GatewayClassID }) {
		return notFound("gateway class", fmt.Sprint(u.GatewayClassID))
	}
	return nil
}

func (m *Mem) addCreds(id int64, creds []store.Credential) error {
	seen := map[credKey]bool{}
	for _, c := range creds {
		if err := c.Check(); err != nil {
			return err
		}
		k := credKey{c.Realm, c.Username, c.Algorithm}
		if old, ok := m.creds[k]; seen[k] || ok && old.UserID != id {
			return exists("credential", c.Username+" in realm "+c.Realm)
		}
		seen[k] = true
	}
	for _, c := range creds {
		c.UserID = id
		m.creds[credKey{c.Realm, c.Username, c.Algorithm}] = c
	}
	return nil
}

// UpdateUser implements store.Admin.
func (m *Mem) UpdateUser(ctx context.Context, u *store.User) error {
	if err := u.Check(); err != nil {
		return err
	}
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	old := m.userByID(u.ID)
	if old == nil {
		return notFound("user", string(u.Key))
	}
	if other := m.users[u.Key]; other != nil && other != old {
		return exists("user", string(u.Key))
	}
	if err := m.checkClass(u); err != nil {
		return err
	}
	u.CreatedAt, u.UpdatedAt = old.CreatedAt, time.Now().UTC()
	delete(m.users, old.Key)
	for i := range m.aliases {
		if m.aliases[i].PrimaryUser == old.Key && old.Key != u.Key {
			m.aliases[i].PrimaryUser = u.Key
			m.changed("aliases", m.aliases[i].Alias, 0)
		}
	}
	c := *u
	m.users[u.Key] = &c
	m.changed("users", string(u.Key), u.ID)
	return nil
}

// RemoveUser implements store.Admin.
func (m *Mem) RemoveUser(ctx context.Context, key sipaddr.AOR) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	u := m.users[key]
	if u == nil {
		return notFound("user", string(key))
	}
	delete(m.users, key)
	maps.DeleteFunc(m.creds, func(_ credKey, c store.Credential) bool { return c.UserID == u.ID })
	maps.DeleteFunc(m.bindings, func(_ int64, b *location.Binding) bool { return b.UserID == u.ID })
	m.aliases = slices.DeleteFunc(m.aliases, func(a store.Alias) bool {
		if a.PrimaryUser == key {
			m.changed("aliases", a.Alias, a.ID)
		}
		return a.PrimaryUser == key
	})
	m.removeThirdParties(u.ID)
	m.removeForwards(func(f store.Forward) bool { return f.UserID == u.ID })
	m.changed("users", string(key), u.ID)
	return nil
}

// Credentials implements store.Admin.
func (m *Mem) Credentials(ctx context.Context, userID int64) ([]store.Credential, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return m.credsOf(userID), nil
}

// SetCredentials implements store.Admin.
func (m *Mem) SetCredentials(ctx context.Context, userID int64, creds []store.Credential) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	u := m.userByID(userID)
	if u == nil {
		return notFound("user", fmt.Sprint(userID))
	}
	old := maps.Clone(m.creds)
	maps.DeleteFunc(m.creds, func(_ credKey, c store.Credential) bool { return c.UserID == userID })
	if err := m.addCreds(userID, creds); err != nil {
		m.creds = old
		return err
	}
	m.changed("credentials", string(u.Key), userID)
	return nil
}

// BulkUsers implements store.Admin.
func (m *Mem) BulkUsers(ctx context.Context, users []store.ImportUser, progress func(done int)) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	oldUsers, oldCreds := maps.Clone(m.users), maps.Clone(m.creds)
	for i := range users {
		if err := m.addUser(&users[i].User, users[i].Credentials); err != nil {
			m.users, m.creds = oldUsers, oldCreds
			return err
		}
	}
	if progress != nil {
		progress(len(users))
	}
	m.changed("users", "*", 0)
	return nil
}

// Aliases implements store.Admin.
func (m *Mem) Aliases(ctx context.Context, alias string) ([]store.Alias, error) {
	if err := m.beginRead(ctx); err != nil {
		return nil, err
	}
	defer m.mu.RUnlock()
	return m.aliasRows(alias), nil
}

// aliasRows returns the rows of an alias, or all, in their order.
func (m *Mem) aliasRows(alias string) []store.Alias {
	var as []store.Alias
	for _, a := range m.aliases {
		if alias == "" || a.Alias == alias {
			as = append(as, a)
		}
	}
	slices.SortFunc(as, func(a, b store.Alias) int {
		return cmp.Or(strings.Compare(a.Alias, b.Alias), cmp.Compare(a.Priority, b.Priority), cmp.Compare(a.ID, b.ID))
	})
	return as
}

// AddAlias implements store.Admin.
func (m *Mem) AddAlias(ctx context.Context, a *store.Alias) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	err := m.addAlias(a)
	if err == nil {
		m.changed("aliases", a.Alias, a.ID)
	}
	return err
}

func (m *Mem) addAlias(a *store.Alias) error {
	if err := a.Check(); err != nil {
		return err
	}
	if m.users[a.PrimaryUser] == nil {
		return notFound("user", string(a.PrimaryUser))
	}
	for _, o := range m.aliases {
		if o.Alias == a.Alias && o.PrimaryUser == a.PrimaryUser {
			return exists("alias", a.Alias+" of "+string(a.PrimaryUser))
		}
	}
	a.ID = m.id()
	m.aliases = append(m.aliases, *a)
	return nil
}

// RemoveAlias implements store.Admin.
func (m *Mem) RemoveAlias(ctx context.Context, alias string, user sipaddr.AOR) error {
	if err := m.begin(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	err := m.removeAlias(alias, user)
	if err == nil {
		m.changed("aliases", alias, 0)
	}
	return err
}

func (m *Mem) removeAlias(alias string, user sipaddr.AOR) error {
	n := len(m.aliases)
	m.aliases = slices.DeleteFunc(m.aliases, func(a store.Alias) bool {
		return a.Alias == alias && (user == "" || a.PrimaryUser == user)
	})
	if len(m.aliases) == n {
		return notFound("alias", alias)
	}
	return nil
}
