package transport

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"time"
)

// client is the configuration of a client that shows a certificate made after c.
func (a *authority) client(t testing.TB, c x509.Certificate) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotAfter = big.NewInt(3), time.Now().Add(time.Hour)
	leaf := a.sign(t, &c, a.cert, &key.PublicKey)
	return &tls.Config{ServerName: "b.example", RootCAs: a.roots, Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}}
}

// TestAlias: RFC 5923 8.2, 9.2 and 9.3: whose requests take the connection that a client has opened.
func TestAlias(t *testing.T) {
	ca := newAuthority(t)
	cfg := ca.configs(t, "b.example")
	cfg.Server.ClientCAs, cfg.Server.ClientAuth = ca.roots, tls.VerifyClientCertIfGiven
	rec := newRecorder()
	s := start(t, Config{Listen: listeners("tls:127.0.0.1:0", "tcp:127.0.0.1:0"), TLS: cfg}, rec)
	const port = 9 // nobody listens there: what does not take the connection is refused
	named := ca.client(t, x509.Certificate{DNSNames: []string{"a.example", "a2.example"}})
	for _, tt := range []struct {
		name   string
		client *tls.Config // nil: TCP
		host   string
		port   uint16
		domain string // that is asked for; "": nobody
		ask    uint16
		reused bool
	}{
		{"its name", named, "A.example", port, "a.example", port, true},
		{"another name of it", named, "a.example", port, "a2.example", port, true},
		{"an address in sent-by", named, "192.0.2.1", port, "a.example", port, true},
		{"no port is 5061", named, "a.example", 0, "a.example", 5061, true},
		{"no port is not another", named, "a.example", 0, "a.example", port, false},
		{"another port", named, "a.example", 5063, "a.example", port, false},
		{"a sent-by that is not its name", named, "c.example", port, "a.example", port, false},
		{"another domain at that address", named, "a.example", port, "c.example", port, false},
		{"who asks for nobody", named, "a.example", port, "", port, false},
		{"who asks for the address", named, "127.0.0.1", port, "127.0.0.1", port, false},
		{"an address in the certificate", ca.client(t, x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}), "127.0.0.1", port, "127.0.0.1", port, true},
		{"and who asks for nobody", ca.client(t, x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}), "127.0.0.1", port, "", port, true},
		{"another address in the certificate", ca.client(t, x509.Certificate{IPAddresses: []net.IP{net.IPv4(192, 0, 2, 1)}}), "192.0.2.1", port, "", port, false},
		{"no certificate", &tls.Config{ServerName: "b.example", RootCAs: ca.roots}, "a.example", port, "a.example", port, false},
		{"no certificate, and who asks for nobody", &tls.Config{ServerName: "b.example", RootCAs: ca.roots}, "127.0.0.1", port, "", port, false},
		{"TCP", nil, "a.example", port, "a.example", port, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, from := s.shake(t, rec, tt.client)
			s.Alias(from.Conn, []byte(tt.host), tt.port)
			s.Alias(from.Conn, []byte(tt.host), tt.port) // with each request
			flow := Flow{Proto: TLS, Remote: netip.AddrPortFrom(from.Remote.Addr(), tt.ask)}
			if tt.domain != "" {
				flow.Domain, _ = cfg.Domains.Number(tt.domain)
			}
			out := s.NewOut()
			out.Send(flow, []byte("back"), 1)
			out.Flush()
			if !tt.reused {
				if f := next(t, rec.failed); !errors.Is(f.err, syscall.ECONNREFUSED) {
					t.Errorf("got %v, want another connection tried", f.err)
				}
				p.Close()
				next(t, rec.closed)
				return
			}
			p.expect("back")
			p.Close()
			next(t, rec.closed)
			out.Send(flow, []byte("gone"), 2) // RFC 5923 8.2: a new one, when it is gone.
			out.Flush()
			if f := next(t, rec.failed); f.ref != 2 || !errors.Is(f.err, syscall.ECONNREFUSED) {
				t.Errorf("got %v, want another connection tried", f.err)
			}
			if n := s.ways(); n != 0 {
				t.Errorf("got %d ways to connections left, want none", n)
			}
		})
	}
}

// TestAliasMoves: a client that advertises another port is found by that alone; one that begins anew by its new connection.
func TestAliasMoves(t *testing.T) {
	ca := newAuthority(t)
	cfg := ca.configs(t, "b.example")
	cfg.Server.ClientCAs, cfg.Server.ClientAuth = ca.roots, tls.VerifyClientCertIfGiven
	rec := newRecorder()
	s := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: cfg}, rec)
	var names []string
	for i := range maxAliases + 10 {
		names = append(names, fmt.Sprintf("a%d.example", i))
	}
	cc := ca.client(t, x509.Certificate{DNSNames: names})
	d, _ := cfg.Domains.Number("a0.example")
	find := func(port uint16) ConnID {
		if c := s.table.find(&Flow{Proto: TLS, Domain: d, Remote: netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), port)}); c != nil {
			return c.flow.Conn
		}
		return 0
	}
	p, old := s.shake(t, rec, cc)
	s.Alias(old.Conn, []byte("a1.example"), 7)
	if find(7) != old.Conn {
		t.Error("got no connection for port 7")
	}
	s.Alias(old.Conn, []byte("a1.example"), 8)
	if find(7) != 0 || find(8) != old.Conn {
		t.Errorf("got connections %d and %d for ports 7 and 8, want 0 and %d", find(7), find(8), old.Conn)
	}
	if n := s.ways(); n > maxAliases+2 {
		t.Errorf("got %d ways to one connection, want at most %d", n, maxAliases+2)
	}
	_, young := s.shake(t, rec, cc)
	s.Alias(young.Conn, []byte("a1.example"), 8)
	if find(8) != young.Conn {
		t.Error("got the old connection, want the new one")
	}
	gone := s.table.byConnID(old.Conn)
	p.Close()
	next(t, rec.closed)
	s.table.alias(gone, []remoteKey{{TLS, d, netip.MustParseAddrPort("127.0.0.1:8")}}) // It closed while its request was read.
	if find(8) != young.Conn {
		t.Error("got no connection, want the new one to stay")
	}
}

// ways is how many ways to connections are known.
func (s *Sockets) ways() int {
	s.table.mu.RLock()
	defer s.table.mu.RUnlock()
	return len(s.table.byRemote)
}

// shake opens a connection to s, over TCP when cfg is nil, and sends one message.
func (s *Sockets) shake(t *testing.T, rec *recorder, cfg *tls.Config) (*peer, Flow) {
	t.Helper()
	addr := s.Addrs()[0].Addr
	if cfg == nil {
		addr = s.Addrs()[1].Addr
	}
	c, err := net.Dial("tcp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	if cfg != nil {
		c = tls.Client(c, cfg)
	}
	p := newPeer(t, c)
	p.send(request("x", 0))
	return p, next(t, rec.got).from
}
