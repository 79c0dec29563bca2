package lastgood

import (
	"context"
	"encoding/hex"

	"sipd/sipaddr"
	"sipd/store"
)

// WriteTables writes the routing tables that feed hands over to the file at path. hurry is for a server that is stopping.
func WriteTables(ctx context.Context, path string, hurry bool, h Header, feed func(store.Sink)) error {
	return write(ctx, path, tablesVersion, hurry, h, func(w *writer) { feed(tableWriter{w}) })
}

// tableWriter is a sink. Credentials may come between users.
type tableWriter struct{ w *writer }

// Setting implements store.Sink.
func (t tableWriter) Setting(name, value string) {
	t.w.begin(kindSetting)
	t.w.text(name)
	t.w.text(value)
	t.w.end()
}

// Domain implements store.Sink.
func (t tableWriter) Domain(d *store.Domain) {
	t.w.begin(kindDomain)
	t.w.int(d.ID)
	t.w.int(d.ServerID)
	t.w.text(d.Name)
	t.w.byte(byte(d.Kind))
	t.w.text(d.Canonical)
	t.w.text(d.Realm)
	t.w.end()
}

// User implements store.Sink.
func (t tableWriter) User(u *store.User) {
	t.w.begin(kindUser)
	t.w.int(u.ID)
	t.w.text(string(u.Key))
	t.w.text(u.Realm)
	t.w.text(u.DisplayName)
	t.w.text(u.Email)
	t.w.byte(byte(u.AuthPolicy))
	t.w.int(u.GatewayClassID)
	t.w.byte(byte(u.DefaultAction))
	t.w.flags(u.IsAdmin, u.Disabled, u.MayUploadCGI)
	t.w.int(int64(u.MaxContacts))
	t.w.end()
}

// Credential implements store.Sink.
func (t tableWriter) Credential(c *store.Credential) {
	var raw [64]byte // An HA1 has 16 or 32 bytes; what is no hex is kept out of the tables (store.Credential.Check).
	if len(c.HA1) > 2*len(raw) {
		return
	}
	n, err := hex.Decode(raw[:], []byte(c.HA1))
	if err != nil {
		return
	}
	t.w.begin(kindCredential)
	t.w.int(c.UserID)
	t.w.text(c.Username)
	t.w.text(c.Realm)
	t.w.byte(byte(c.Algorithm))
	t.w.bytes(raw[:n])
	t.w.end()
}

// Alias implements store.Sink.
func (t tableWriter) Alias(a *store.Alias) {
	t.w.begin(kindAlias)
	t.w.int(a.ID)
	t.w.text(a.Alias)
	t.w.text(string(a.PrimaryUser))
	t.w.byte(byte(a.Kind))
	t.w.int(int64(a.Priority))
	t.w.byte(byte(a.RingMode))
	t.w.int(int64(a.Delay))
	t.w.end()
}

// ThirdParty implements store.Sink.
func (t tableWriter) ThirdParty(r *store.ThirdParty) {
	t.w.begin(kindThirdParty)
	t.w.int(r.UserID)
	t.w.int(r.RegistrantID)
	t.w.end()
}

// TrustedPeer implements store.Sink.
func (t tableWriter) TrustedPeer(p *store.TrustedPeer) {
	t.w.begin(kindTrustedPeer)
	t.w.int(p.ID)
	t.w.text(p.SourceNets)
	t.w.text(p.TLSName)
	t.w.flags(p.MayAssertIdentity)
	t.w.end()
}

// ReadTables hands the tables of the file at path to into, which must not use them when there is an error. Credentials follow their user.
// The file must be of that database and server record ("" is any).
func ReadTables(path, database, server string, into store.Sink) (Header, error) {
	r, h, err := open(path)
	if err != nil {
		return Header{}, err
	}
	r.err = h.of(database, server)
	var d store.Domain
	var u store.User
	var c store.Credential
	var a store.Alias
	var third store.ThirdParty
	var peer store.TrustedPeer
	var forward store.Forward
	var plan store.PlanRows
	err = r.read(func(kind byte) {
		switch kind {
		case kindSetting:
			if name, value := r.text(), r.text(); r.err == nil {
				into.Setting(name, value)
			}
		case kindDomain:
			d = store.Domain{ID: r.int(), ServerID: r.int(), Name: r.text(), Kind: store.DomainKind(r.byte()), Canonical: r.text(), Realm: r.text()}
			if r.err == nil {
				into.Domain(&d)
			}
		case kindUser:
			r.user(&u)
			if r.err == nil {
				into.User(&u)
			}
		case kindCredential:
			c = store.Credential{UserID: r.int(), Username: r.text(), Realm: r.shared(), Algorithm: store.Algorithm(r.byte()), HA1: hex.EncodeToString(r.bytes())}
			if r.err == nil {
				into.Credential(&c)
			}
		case kindAlias:
			a = store.Alias{ID: r.int(), Alias: r.text(), PrimaryUser: sipaddr.AOR(r.text()), Kind: store.AliasKind(r.byte()), Priority: int(r.int())}
			if r.version >= planVersion {
				a.RingMode, a.Delay = store.RingMode(r.byte()), int(r.int())
			}
			if r.err == nil {
				into.Alias(&a)
			}
		case kindThirdParty:
			third = store.ThirdParty{UserID: r.int(), RegistrantID: r.int()}
			if r.err == nil {
				into.ThirdParty(&third)
			}
		case kindTrustedPeer:
			peer = store.TrustedPeer{ID: r.int(), SourceNets: r.text(), TLSName: r.text(), MayAssertIdentity: r.byte()&1 != 0}
			if r.err == nil {
				into.TrustedPeer(&peer)
			}
		case kindForward:
			forward = store.Forward{UserID: r.int(), Kind: store.ForwardKind(r.byte()), Target: r.text(), Timeout: int(r.int())}
			if r.err == nil {
				into.Forward(&forward)
			}
		default:
			if !r.plan(kind, &plan) {
				r.fail()
			}
		}
	})
	if err != nil {
		return Header{}, err
	}
	into.PlanRows(&plan)
	return current(path, h)
}

func (r *reader) user(u *store.User) {
	*u = store.User{ID: r.int(), Key: sipaddr.AOR(r.text()), Realm: r.shared(), DisplayName: r.text(), Email: r.text(),
		AuthPolicy: store.AuthPolicy(r.byte()), GatewayClassID: r.int(), DefaultAction: store.Action(r.byte())}
	flags := r.byte()
	u.IsAdmin, u.Disabled, u.MayUploadCGI = flags&1 != 0, flags&2 != 0, flags&4 != 0
	u.MaxContacts = int(r.int())
}
