package store

import (
	"net/netip"
	"strings"

	"sipd/sipaddr"
)

// ThirdParty is a row of third_parties: the registrant may register for the user (RFC 3261 10.2, BEHAVIOUR A12).
type ThirdParty struct {
	UserID       int64
	RegistrantID int64
	// Their keys, for people: Admin fills them in, a Reader does not.
	User, Registrant sipaddr.AOR
}

// TrustedPeer is a row of trusted_peers: a server inside the trust domain of RFC 3325 2.3. Who sends from one of SourceNets is this peer;
// with TLSName he must also have shown a certificate of that domain. Without SourceNets the certificate is enough.
type TrustedPeer struct {
	ID                int64
	SourceNets        string // networks and addresses, with commas or blanks between them
	TLSName           string // a domain, "" for none
	MayAssertIdentity bool   // what it asserts about who is calling is believed
}

// Limits of these tables.
const (
	// MaxThirdParties is how many may register for one user: a few assistants and a provisioning server, not a crowd.
	MaxThirdParties = 100
	// MaxTrustedPeers is how many peers there may be: they are compared one after the other.
	MaxTrustedPeers = 256
	// MaxPeerNets is how many networks one peer may have, for the same reason.
	MaxPeerNets = 64
	// maxNets is how long source_nets may be: it fits into an index of Postgres.
	maxNets = 2000
)

// Check tells what is wrong with a row.
func (t *ThirdParty) Check() error {
	switch {
	case t.UserID <= 0 || t.RegistrantID <= 0:
		return invalid("user_id %d, registrant_user_id %d: write the ids of two users", t.UserID, t.RegistrantID)
	case t.UserID == t.RegistrantID:
		return invalid("user %d registers for himself without a row: write another user's id as registrant_user_id", t.UserID)
	}
	return nil
}

// Normalize brings a row into the form of the table (networks as RFC 5952 writes them, ", " between them; the name in lower case) and
// tells what is wrong with it.
func (p *TrustedPeer) Normalize() error {
	nets, err := p.Nets()
	if err != nil {
		return err
	}
	if p.TLSName, err = normalTLSName(p.TLSName); err != nil {
		return err
	}
	if len(nets) == 0 && p.TLSName == "" {
		return invalid("neither source_nets nor tls_name is there, so it would be anybody: write the peer's networks (192.0.2.0/24), the domain of its certificate, or both")
	}
	p.SourceNets = netsText(nets)
	return nil
}

// normalTLSName brings the domain of a peer's certificate into the form of the table.
func normalTLSName(s string) (string, error) {
	if s = NormalHost(s); s == "" {
		return "", nil
	}
	// RFC 5922 7.2: a certificate of SIP names a domain, no wildcard stands for others.
	if len(s) > maxName || strings.ContainsFunc(s, notInHost) {
		return s, invalid("tls_name %.60q: write one domain, such as gw.example.net", s)
	}
	if _, err := netip.ParseAddr(s); err == nil {
		return s, invalid("tls_name %q is an address: write the domain of the peer's certificate, and addresses as source_nets", s)
	}
	return s, nil
}

// netsText is networks as the table has them.
func netsText(nets []netip.Prefix) string {
	texts := make([]string, len(nets))
	for i, n := range nets {
		texts[i] = n.String()
		if n.IsSingleIP() {
			texts[i] = n.Addr().String()
		}
	}
	return strings.Join(texts, ", ")
}

// Nets reads SourceNets. An address is a network of itself.
func (p *TrustedPeer) Nets() ([]netip.Prefix, error) {
	if len(p.SourceNets) > maxNets {
		return nil, invalid("source_nets %.40q... has %d bytes: write at most %d, or another peer", p.SourceNets, len(p.SourceNets), maxNets)
	}
	items := strings.FieldsFunc(p.SourceNets, func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' })
	if len(items) > MaxPeerNets {
		return nil, invalid("source_nets has %d networks: write at most %d, or another peer", len(items), MaxPeerNets)
	}
	nets := make([]netip.Prefix, 0, len(items))
	for _, item := range items {
		n, err := parseNet(item)
		if err != nil {
			return nil, err
		}
		nets = append(nets, n)
	}
	return nets, nil
}

// parseNet is strict: a network that is larger than somebody thinks trusts strangers.
func parseNet(item string) (netip.Prefix, error) {
	a, err := netip.ParseAddr(strings.Trim(item, "[]"))
	if err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	n, err := netip.ParsePrefix(item)
	switch {
	case err != nil:
		return n, invalid("source_nets: %.60q is no network: write 192.0.2.0/24, 2001:db8::/32 or an address", item)
	case n.Addr().Is4In6():
		return n, invalid("source_nets: %s: write an IPv4 network as 192.0.2.0/24", item)
	case n.Bits() == 0:
		return n, invalid("source_nets: %s is everybody: write the peer's own networks, or only the tls_name of its certificate", item)
	case n != n.Masked():
		return n, invalid("source_nets: %s has bits behind the prefix: write %s for the network or %s for the address", item, n.Masked(), n.Addr())
	}
	return n, nil
}
