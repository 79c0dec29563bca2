package daemon

import (
	"context"

	"sipd/config"
	"sipd/resolve"
	"sipd/server/transport"
)

// systemResolver is where the machine's name servers stand.
const systemResolver = "/etc/resolv.conf"

// openResolver makes the resolver of next hops. Without name servers there is one all the same, which finds nothing and says so.
func (d *daemon) openResolver(ctx context.Context, set *config.Settings, addrs []transport.Listener) {
	servers := set.Resolver
	if len(servers) == 0 {
		var err error
		if servers, err = resolve.SystemServers(systemResolver); err != nil {
			d.log.WarnContext(ctx, "no name servers: names as next hops are not found; write Resolver", "err", err)
		}
	}
	var have resolve.Support
	for _, l := range addrs {
		switch l.Proto {
		case transport.UDP:
			have.UDP = true
		case transport.TCP:
			have.TCP = true
		case transport.TLS:
			have.TLS = true
		}
		if l.Addr.Addr().Is4() {
			have.IPv4 = true
		} else {
			have.IPv6 = true
		}
	}
	d.resolver = resolve.New(resolve.Config{Servers: servers, Support: have})
}

// runResolver ends what is under way when the server has ended.
func (d *daemon) runResolver(ctx context.Context) error {
	<-ctx.Done()
	d.resolver.Close()
	return nil
}
