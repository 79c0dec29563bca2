package daemon

import (
	"context"
	"net/netip"
	"strings"

	"sipd/config"
	"sipd/resolve"
	"sipd/server/transport"
)

// SystemResolver is where the machine's name servers stand.
const SystemResolver = "/etc/resolv.conf"

// NameServers are those of the settings, else those of the machine.
func NameServers(set *config.Settings) ([]netip.AddrPort, error) {
	if len(set.Resolver) > 0 {
		return set.Resolver, nil
	}
	return resolve.SystemServers(SystemResolver)
}

// Support is what a server with these listeners can send by.
func Support(listen []config.Listen) (have resolve.Support) {
	for _, l := range listen {
		switch l.Transport {
		case "udp":
			have.UDP = true
		case "tcp":
			have.TCP = true
		case "tls":
			have.TLS = true
		}
		if l.Addr.Addr().Is4() {
			have.IPv4 = true
		} else {
			have.IPv6 = true
		}
	}
	return have
}

// openResolver makes the resolver of next hops. Without name servers there is one all the same, which finds nothing and says so.
func (d *daemon) openResolver(ctx context.Context, set *config.Settings, addrs []transport.Listener) {
	servers, err := NameServers(set)
	if err != nil {
		d.log.WarnContext(ctx, "no name servers: names as next hops are not found; write Resolver", "err", err)
	}
	listen := make([]config.Listen, len(addrs)) // those that could be opened
	for i, l := range addrs {
		listen[i] = config.Listen{Transport: strings.ToLower(l.Proto.String()), Addr: l.Addr}
	}
	d.resolver = resolve.New(resolve.Config{Servers: servers, Support: Support(listen), Log: d.log.With("pkg", "resolve")})
}

// runResolver ends what is under way when the server has ended.
func (d *daemon) runResolver(ctx context.Context) error {
	<-ctx.Done()
	d.resolver.Close()
	return nil
}

// runAnswers ends what Locator is asked, when the server has ended.
func (d *daemon) runAnswers(ctx context.Context) error {
	<-ctx.Done()
	d.answers.Close()
	return nil
}
