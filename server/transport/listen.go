package transport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// Listener is an address to listen on.
type Listener struct {
	Proto Proto
	Addr  netip.AddrPort // an own address, or 0.0.0.0 or [::] for all of that family; port 0: a free one
}

// String returns the listener as in a configuration: "udp:192.0.2.1:5060".
func (l Listener) String() string { return l.Proto.Param() + ":" + l.Addr.String() }

// Config is what Sockets are made of.
type Config struct {
	Listen []Listener
	Log    *slog.Logger

	// MaxConns and MaxConnsPerSource bound the stream connections, in all and accepted from one source (an IPv4 address, an
	// IPv6 /64). 0: the default; negative: no bound.
	MaxConns          int
	MaxConnsPerSource int

	// TLS is how TLS connections are made; nil: there are none, neither accepted nor opened.
	TLS *TLSConfigs

	limits   limits // tests shorten them
	portable bool   // tests: the UDP code of other systems than Linux
}

// Defaults of Config.
const (
	// DefaultMaxConns: at 16 KiB for buffer, stack and tables, 256 MiB. Less where descriptors are fewer.
	DefaultMaxConns = 16384
	// DefaultMaxConnsPerSource: an office behind one address fits, one address alone cannot take all.
	DefaultMaxConnsPerSource = 1024
	// maxListeners bounds the sockets: each listener has one per processor.
	maxListeners = 64
	// socketBuffer holds a burst of some thousand messages while a worker is busy; the kernel may clamp it (net.core.rmem_max).
	socketBuffer = 4 << 20
)

// listener is a bound Listener with its sockets.
type listener struct {
	Listener
	wild bool         // bound to 0.0.0.0 or [::]
	udp  []*udpSocket // one per worker
	tcp  *net.TCPListener
}

func (l *listener) is4() bool { return l.Addr.Addr().Is4() }

func (l *listener) close() {
	for _, u := range l.udp {
		u.conn.Close()
	}
	if l.tcp != nil {
		l.tcp.Close()
	}
}

// Listen binds all listeners of cfg, so that errors appear before anything is served. It starts nothing.
func Listen(cfg Config) (*Sockets, error) {
	if len(cfg.Listen) == 0 {
		return nil, errors.New("transport: nothing to listen on: give at least one address, such as udp:0.0.0.0:5060")
	}
	if len(cfg.Listen) > maxListeners {
		return nil, fmt.Errorf("transport: %d listeners, at most %d are allowed: use 0.0.0.0 or [::] to cover all addresses", len(cfg.Listen), maxListeners)
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	s := &Sockets{log: cfg.Log, limits: cfg.limits.withDefaults(), tls: cfg.TLS}
	s.table.init(bound(cfg.MaxConns, min(DefaultMaxConns, connsAllowed())), bound(cfg.MaxConnsPerSource, DefaultMaxConnsPerSource))
	s.pool.New = func() any { return s.NewOut() }
	for _, want := range cfg.Listen {
		if want.Proto == TLS && cfg.TLS == nil {
			s.Close()
			return nil, fmt.Errorf("listen %s: there is no certificate: set TLSCertificate and TLSKey", want)
		}
		l, err := listen(want, cfg.portable || !rawUDP)
		if err != nil {
			s.Close()
			return nil, err
		}
		s.listeners = append(s.listeners, l)
	}
	s.refreshOwn()
	return s, nil
}

func bound(n, def int) int {
	switch {
	case n == 0:
		return def
	case n < 0:
		return int(^uint(0) >> 1)
	}
	return n
}

// bindTimeout ends a bind that hangs; a numeric bind never does.
const bindTimeout = 10 * time.Second

func listen(want Listener, portable bool) (*listener, error) {
	want.Addr = netip.AddrPortFrom(want.Addr.Addr().Unmap(), want.Addr.Port())
	if !want.Addr.IsValid() {
		return nil, fmt.Errorf("listen %s: not an address: write it as ADDR:PORT, such as 0.0.0.0:5060 or [::]:5060", want.Proto.Param())
	}
	ctx, cancel := context.WithTimeout(context.Background(), bindTimeout)
	defer cancel()
	l := &listener{Listener: want, wild: want.Addr.Addr().IsUnspecified()}
	var err error
	switch want.Proto {
	case UDP:
		err = l.bindUDP(ctx, portable)
	case TCP, TLS:
		err = l.bindTCP(ctx)
	default:
		err = errors.New("this transport is not supported: use udp, tcp or tls")
	}
	if err != nil {
		l.close()
		return nil, bindError(want, err)
	}
	return l, nil
}

// network returns "udp4", "tcp6", ...: with the family named, an IPv6 socket is V6ONLY, and IPv4 peers never appear as
// ::ffff:a.b.c.d.
func (l *listener) network() string {
	name := "tcp"
	if l.Proto == UDP {
		name = "udp"
	}
	if l.is4() {
		return name + "4"
	}
	return name + "6"
}

func (l *listener) bindTCP(ctx context.Context) error {
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, l.network(), l.Addr.String())
	if err != nil {
		return err
	}
	l.tcp = ln.(*net.TCPListener)
	l.Addr = netip.AddrPortFrom(l.Addr.Addr(), l.tcp.Addr().(*net.TCPAddr).AddrPort().Port())
	return nil
}

// bindUDP binds one socket per worker to the same address. The first is bound alone, so that another process that has the port
// is an error even if it shares the port itself; sharing is switched on afterwards, for the others.
func (l *listener) bindUDP(ctx context.Context, portable bool) error {
	workers := 1
	if !portable {
		workers = max(1, runtime.GOMAXPROCS(0))
	}
	for i := range workers {
		lc := net.ListenConfig{Control: func(_, _ string, rc syscall.RawConn) error {
			return control(rc, func(fd int) error { return udpOptions(fd, l, i > 0) })
		}}
		pc, err := lc.ListenPacket(ctx, l.network(), l.Addr.String())
		if err != nil {
			return err
		}
		u := &udpSocket{l: l, conn: pc.(*net.UDPConn), raw: !portable}
		l.udp = append(l.udp, u)
		if u.rc, err = u.conn.SyscallConn(); err != nil {
			return err
		}
		l.Addr = netip.AddrPortFrom(l.Addr.Addr(), u.conn.LocalAddr().(*net.UDPAddr).AddrPort().Port())
		if i == 0 && workers > 1 {
			if err := control(u.rc, sharePort); err != nil {
				return err
			}
		}
	}
	return nil
}

// control runs f on the descriptor of rc.
func control(rc syscall.RawConn, f func(fd int) error) error {
	var inner error
	if err := rc.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

// bindError says what to do about an address that cannot be bound.
func bindError(l Listener, err error) error {
	hint := ""
	port := strconv.Itoa(int(l.Addr.Port()))
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		hint = ": another program has this port (ss -lnp 'sport = :" + port + "' shows it): stop it, or listen on another port"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		hint = ": no interface has this address: use one that `ip addr` shows, or 0.0.0.0 or [::] for all"
	case errors.Is(err, syscall.EACCES):
		hint = ": ports below 1024 need root or CAP_NET_BIND_SERVICE: use another port"
	case errors.Is(err, syscall.EAFNOSUPPORT):
		hint = ": this machine has no " + map[bool]string{true: "IPv4", false: "IPv6"}[l.Addr.Addr().Is4()] + ": leave this listener out"
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err // without the address, which stands in front already
	}
	return fmt.Errorf("listen %s: %w%s", l, err, hint)
}
