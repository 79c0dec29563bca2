package transport

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/big"
	"net"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

// authority issues certificates.
type authority struct {
	cert  *x509.Certificate
	key   *ecdsa.PrivateKey
	roots *x509.CertPool
}

func newAuthority(t testing.TB) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{key: key, roots: x509.NewCertPool()}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, NotAfter: time.Now().Add(time.Hour)}
	a.cert = a.sign(t, c, c, &key.PublicKey)
	a.roots.AddCert(a.cert)
	return a
}

func (a *authority) sign(t testing.TB, c, parent *x509.Certificate, pub *ecdsa.PublicKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, c, parent, pub, a.key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return leaf
}

// configs are those of a server with a certificate for name.
func (a *authority) configs(t testing.TB, name string) *TLSConfigs {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	leaf := a.sign(t, &x509.Certificate{SerialNumber: big.NewInt(2), DNSNames: []string{name}, NotAfter: time.Now().Add(time.Hour)}, a.cert, &key.PublicKey)
	return &TLSConfigs{
		Server: &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{leaf.Raw}, PrivateKey: key}}, MinVersion: tls.VersionTLS12},
		Client: func(domain string) *tls.Config {
			return &tls.Config{ServerName: domain, RootCAs: a.roots, MinVersion: tls.VersionTLS12}
		},
		Domains: new(Domains),
	}
}

// pair is two ends over TLS: a sends to b, which echoes.
func pair(t *testing.T, limits limits) (a, b *Sockets, atA, atB *recorder) {
	ca := newAuthority(t)
	atA, atB = newRecorder(), newRecorder()
	atB.handle = echo
	a = start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "a.example"), limits: limits}, atA)
	b = start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "b.example"), limits: limits}, atB)
	return a, b, atA, atB
}

// to is the way from s to the first listener of other, whose certificate must speak for name.
func to(t *testing.T, s, other *Sockets, name string) Flow {
	t.Helper()
	d, ok := s.tls.Domains.Number(name)
	if !ok {
		t.Fatal("got no number for a domain")
	}
	return Flow{Proto: TLS, Domain: d, Remote: other.Addrs()[0].Addr}
}

func TestTLS(t *testing.T) {
	a, b, atA, atB := pair(t, limits{})
	flow := to(t, a, b, "B.example.")
	out := a.NewOut()
	for i := range 3 { // The first two wait for the handshake.
		for j := range 2 {
			out.Send(flow, []byte(request(fmt.Sprintf("m%d.%d", i, j), 30_000*i)), 0)
		}
		out.Flush()
		for j := range 2 {
			want := request(fmt.Sprintf("m%d.%d", i, j), 30_000*i)
			if got := next(t, atB.got); got.raw != want || got.from.Proto != TLS || got.from.Conn == 0 {
				t.Errorf("b got %d bytes from %+v, want %d", len(got.raw), got.from, len(want))
			}
			if got := next(t, atA.got); got.raw != want {
				t.Errorf("a got %d bytes back, want %d", len(got.raw), len(want))
			}
		}
	}
	if a.Conns() != 1 || b.Conns() != 1 {
		t.Errorf("got %d and %d connections, want 1 each", a.Conns(), b.Conns())
	}
}

// TestTLSManySenders: what many goroutines send arrives whole and in the order of each.
func TestTLSManySenders(t *testing.T) {
	a, b, _, atB := pair(t, limits{})
	flow := to(t, a, b, "b.example")
	const senders, each = 8, 200
	var all sync.WaitGroup
	for i := range senders {
		all.Go(func() {
			out := a.NewOut()
			for j := range each {
				out.Send(flow, []byte(request(fmt.Sprintf("%d.%d", i, j), 10*j)), 0)
				out.Flush()
				time.Sleep(100 * time.Microsecond) // The queue of a connection is bounded.
			}
		})
	}
	last := map[string]int{}
	for range senders * each {
		var sender, n int
		raw := next(t, atB.got).raw
		_, id, _ := strings.Cut(raw, "sip:")
		if _, err := fmt.Sscanf(id, "%d.%d", &sender, &n); err != nil {
			t.Fatalf("%v in %.200q", err, raw)
		}
		key := fmt.Sprint(sender)
		if n != last[key] {
			t.Fatalf("sender %d: got message %d, want %d", sender, n, last[key])
		}
		last[key]++
	}
	all.Wait()
}

// TestTLSIdentity: a connection to one domain is not used for another, and a certificate of somebody else ends it.
func TestTLSIdentity(t *testing.T) {
	a, b, atA, atB := pair(t, limits{})
	out := a.NewOut()
	out.Send(to(t, a, b, "b.example"), []byte(request("good", 0)), 1)
	out.Flush()
	next(t, atB.got)
	next(t, atA.got)
	anybody := to(t, a, b, "b.example")
	anybody.Domain = 0
	out.Send(anybody, []byte(request("same", 0)), 2)
	out.Flush()
	next(t, atB.got)
	next(t, atA.got)
	if a.Conns() != 1 {
		t.Errorf("got %d connections, want the one to b.example used for who asks for nobody", a.Conns())
	}
	out.Send(to(t, a, b, "c.example"), []byte(request("bad", 0)), 7)
	out.Flush()
	f := next(t, atA.failed)
	if f.ref != 7 || !strings.Contains(f.err.Error(), "c.example") {
		t.Errorf("got failure %d: %v, want 7 and why", f.ref, f.err)
	}
	select {
	case got := <-atB.got:
		t.Errorf("b got %q, want nothing for c.example", got.raw)
	default:
	}
}

// TestTLSProven: who asks for nobody, as a request in a dialog does, gets whoever was at the address before, also when the connection has
// closed; a connection that has proven nothing gives way.
func TestTLSProven(t *testing.T) {
	ca := newAuthority(t)
	shown := ca.configs(t, "b.example").Server.Certificates
	var mu sync.Mutex // guards shown
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		return &shown[0], nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cfg := ca.configs(t, "a.example")
	byName := cfg.Client
	cfg.Client = func(domain string) *tls.Config {
		if domain == "" { // as for a telephone
			return &tls.Config{InsecureSkipVerify: true}
		}
		return byName(domain)
	}
	rec := newRecorder()
	var log bytes.Buffer
	a := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: cfg, Log: slog.New(slog.NewTextHandler(&log, nil))}, rec)
	out := a.NewOut()
	send := func(name string) {
		t.Helper()
		f := Flow{Proto: TLS, Remote: addrPort(l.Addr())}
		if name != "" {
			f.Domain, _ = cfg.Domains.Number(name)
		}
		out.Send(f, []byte(request("x", 0)), 1)
		out.Flush()
	}
	arrives := func(c net.Conn) {
		t.Helper()
		c.SetReadDeadline(time.Now().Add(waitLimit))
		if _, err := io.ReadFull(c, make([]byte, len(request("x", 0)))); err != nil {
			t.Fatal(err)
		}
	}
	accept := func() net.Conn {
		t.Helper()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		arrives(c)
		return c
	}
	send("")
	nobody := accept()
	defer nobody.Close()
	send("b.example")
	proven := accept()
	send("")
	arrives(proven)
	proven.Close()
	next(t, rec.closed)

	mu.Lock()
	shown = ca.configs(t, "c.example").Server.Certificates
	mu.Unlock()
	send("")
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(waitLimit))
	if n, err := io.Copy(io.Discard, c); n > 0 || isTimeout(err) {
		t.Errorf("got %d bytes and %v, want the connection closed", n, err)
	}
	if f := next(t, rec.failed); !strings.Contains(f.err.Error(), "b.example") {
		t.Errorf("got %v, want an error that names b.example", f.err)
	}
	if got := log.String(); !strings.Contains(got, "level=INFO msg=\"TLS refused\"") || !strings.Contains(got, "b.example") { // The proxy, which has asked for nobody, does not tell.
		t.Errorf("got log %q, want whose certificate was asked for", got)
	}
}

// TestTLSRefusedLog: who knocks here has one line a minute; the domains whose certificate is bad do not use it up, the proxy tells of them.
func TestTLSRefusedLog(t *testing.T) {
	ca := newAuthority(t)
	b := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "b.example")}, newRecorder())
	var log bytes.Buffer // handlers take turns
	atA := newRecorder()
	a := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "a.example"),
		Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))}, atA)
	out := a.NewOut()
	for i, name := range []string{"c.example", "127.0.0.2", "d.example"} {
		out.Send(to(t, a, b, name), []byte(request("m", 0)), Ref(i+1))
		out.Flush()
		if f := next(t, atA.failed); !strings.Contains(f.err.Error(), name) {
			t.Errorf("%s: got failure %v, want it to name it", name, f.err)
		}
	}
	refused := regexp.MustCompile(`level=(\w+) msg="TLS refused" .*`).FindAllString(log.String(), -1)
	want := []string{"DEBUG.*domain=c.example", "INFO.*127.0.0.2", "DEBUG.*domain=d.example"}
	for i := range want {
		if len(refused) != len(want) || !regexp.MustCompile(want[i]).MatchString(refused[i]) {
			t.Fatalf("got log\n%s\nwant %s", log.String(), want)
		}
	}
}

// TestTLSBadPeers: who does not shake hands is cut off, and costs nobody else anything.
func TestTLSBadPeers(t *testing.T) {
	a, b, atA, _ := pair(t, limits{handshake: 300 * time.Millisecond})
	for name, first := range map[string]string{"silent": "", "plain SIP": request("plain", 0), "half a hello": "\x16\x03\x01\x02\x00\x01"} {
		nc, err := net.Dial("tcp", b.Addrs()[0].Addr.String())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		if _, err := io.WriteString(nc, first); err != nil {
			t.Fatal(err)
		}
		nc.SetReadDeadline(time.Now().Add(waitLimit))
		if _, err := io.Copy(io.Discard, nc); errors.Is(err, net.ErrClosed) || isTimeout(err) {
			t.Errorf("%s: got %v, want the connection closed", name, err)
		}
	}
	out := a.NewOut()
	out.Send(to(t, a, b, "b.example"), []byte(request("good", 0)), 1)
	out.Flush()
	next(t, atA.got)

	// A server that accepts and says nothing.
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	flow := to(t, a, b, "b.example")
	flow.Remote = ln.Addr().(*net.TCPAddr).AddrPort()
	out.Send(flow, []byte(request("nobody", 0)), 9)
	out.Flush()
	if f := next(t, atA.failed); f.ref != 9 {
		t.Errorf("got failure of %d, want 9", f.ref)
	}
}

// TestTLSPeerDoesNotRead: the queue of such a peer is bounded, and he is cut off.
func TestTLSPeerDoesNotRead(t *testing.T) {
	ca := newAuthority(t)
	rec := newRecorder()
	s := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "b.example"), limits: limits{write: 300 * time.Millisecond}}, rec)
	peer, err := tls.Dial("tcp", s.Addrs()[0].Addr.String(), &tls.Config{ServerName: "b.example", RootCAs: ca.roots})
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if _, err := io.WriteString(peer, request("hello", 0)); err != nil {
		t.Fatal(err)
	}
	from := next(t, rec.got).from
	out := s.NewOut()
	for i := range 1200 {
		out.Send(from, []byte(request("much", 30_000)), Ref(i+1))
		out.Flush()
	}
	if f := next(t, rec.failed); f.err == nil {
		t.Error("got no reason")
	}
	if got := next(t, rec.closed); got.Conn != from.Conn {
		t.Errorf("got connection %d closed, want %d", got.Conn, from.Conn)
	}
}

// TestTLSRenewed: a connection outlives the certificate it was made with.
func TestTLSRenewed(t *testing.T) {
	ca := newAuthority(t)
	cfg, renewed := ca.configs(t, "b.example"), ca.configs(t, "new.example")
	current := &cfg.Server.Certificates[0]
	var mu sync.Mutex
	server := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		mu.Lock()
		defer mu.Unlock()
		return current, nil
	}}
	rec := newRecorder()
	rec.handle = echo
	s := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: &TLSConfigs{Server: server, Client: cfg.Client, Domains: cfg.Domains}}, rec)
	dial := func(name string) *tls.Conn {
		c, err := tls.Dial("tcp", s.Addrs()[0].Addr.String(), &tls.Config{ServerName: name, RootCAs: ca.roots})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	ask := func(c *tls.Conn, id string) {
		t.Helper()
		want := request(id, 0)
		if _, err := io.WriteString(c, want); err != nil {
			t.Fatal(err)
		}
		got := make([]byte, len(want))
		if _, err := io.ReadFull(c, got); err != nil || string(got) != want {
			t.Errorf("got %q and %v, want %q", got, err, want)
		}
	}
	old := dial("b.example")
	defer old.Close()
	ask(old, "before")
	mu.Lock()
	current = &renewed.Server.Certificates[0]
	mu.Unlock()
	young := dial("new.example")
	defer young.Close()
	ask(young, "new")
	ask(old, "after")
}

// TestTLSCertificates: what a client shows counts when an authority that we ask for has signed it, and on the server's side only.
func TestTLSCertificates(t *testing.T) {
	ca, stranger := newAuthority(t), newAuthority(t)
	cfg := ca.configs(t, "b.example")
	cfg.Server.ClientCAs, cfg.Server.ClientAuth = ca.roots, tls.VerifyClientCertIfGiven
	rec := newRecorder()
	rec.handle = echo
	s := start(t, Config{Listen: listeners("tls:127.0.0.1:0", "tcp:127.0.0.1:0"), TLS: cfg}, rec)
	show := func(a *authority, name string) *tls.Config {
		return &tls.Config{ServerName: "b.example", RootCAs: ca.roots, Certificates: a.configs(t, name).Server.Certificates}
	}
	for _, tt := range []struct {
		name string
		cfg  *tls.Config // nil: TCP
		want string      // "": none
	}{
		{"one of ours", show(ca, "peer.example"), "peer.example"},
		{"none shown", &tls.Config{ServerName: "b.example", RootCAs: ca.roots}, ""},
		{"TCP", nil, ""},
	} {
		addr := s.Addrs()[0].Addr
		if tt.cfg == nil {
			addr = s.Addrs()[1].Addr
		}
		var c net.Conn
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		if tt.cfg != nil {
			c = tls.Client(c, tt.cfg)
		}
		p := newPeer(t, c)
		p.send(request("x", 0))
		from := next(t, rec.got).from
		got := s.Certificates(from.Conn)
		switch {
		case tt.want == "" && got != nil:
			t.Errorf("%s: got %d certificates, want none", tt.name, len(got))
		case tt.want != "" && (len(got) != 2 || got[0].DNSNames[0] != tt.want || !got[1].Equal(ca.cert)):
			t.Errorf("%s: got %d certificates, want that of %s and its authority", tt.name, len(got), tt.want)
		}
		p.Close()
		next(t, rec.closed)
		if got := s.Certificates(from.Conn); got != nil {
			t.Errorf("%s: got certificates of a connection that is gone", tt.name)
		}
	}

	// Signed by nobody we ask: the connection ends.
	c, err := net.Dial("tcp", s.Addrs()[0].Addr.String())
	if err != nil {
		t.Fatal(err)
	}
	p := newPeer(t, tls.Client(c, show(stranger, "peer.example")))
	_, _ = io.WriteString(p, request("x", 0))
	p.expectClosed()
	if len(rec.got) > 0 {
		t.Errorf("got %q of a client whose certificate is nobody's", (<-rec.got).raw)
	}

	// A server that we dialled is not a client.
	other := start(t, Config{Listen: listeners("tls:127.0.0.1:0"), TLS: ca.configs(t, "a.example")}, rec)
	out := other.NewOut()
	out.Send(to(t, other, s, "b.example"), []byte(request("y", 0)), 0)
	out.Flush()
	next(t, rec.got)              // by s
	back := next(t, rec.got).from // echoed to other
	if got := other.Certificates(back.Conn); back.Conn == 0 || got != nil {
		t.Errorf("got %d certificates of a server, want none", len(got))
	}
}

func TestTLSWithoutCertificate(t *testing.T) {
	if _, err := Listen(Config{Listen: listeners("tls:127.0.0.1:0")}); err == nil || !strings.Contains(err.Error(), "TLSCertificate") {
		t.Errorf("got %v, want an error that names TLSCertificate", err)
	}
}

func TestDomains(t *testing.T) {
	var d Domains
	one, _ := d.Number("A.example.")
	two, _ := d.Number("b.example")
	if again, ok := d.Number("a.EXAMPLE"); again != one || !ok || one == two || d.Name(one) != "a.example" || d.Name(0) != "" || d.Name(99) != "" {
		t.Errorf("got %d %d %d, names %q %q", one, two, again, d.Name(one), d.Name(two))
	}
	for i := range 2 * maxDomains { // Somebody invents names; one.example is in use.
		if n, ok := d.Number(fmt.Sprint(i)); !ok || d.Name(n) != fmt.Sprint(i) {
			t.Fatalf("got %d %t %q for name %d", n, ok, d.Name(n), i)
		}
		if n, ok := d.Number("a.example"); n != one || !ok {
			t.Fatalf("got %d, want %d for a name that is in use", n, one)
		}
	}
	if got := len(d.young.names) + len(d.old.names); got > maxDomains || got != len(d.young.numbers)+len(d.old.numbers) {
		t.Errorf("got %d names, want %d at most", got, maxDomains)
	}
	if d.Name(one) != "a.example" || d.Name(two) != "" {
		t.Errorf("got %q and %q, want the name in use, and the other forgotten", d.Name(one), d.Name(two))
	}
	if n, _ := d.Number("b.example"); n <= two+maxDomains {
		t.Errorf("got number %d, want one that nobody has had", n)
	}
	d.last = math.MaxUint32
	if n, ok := d.Number("one too many"); ok || n != 0 {
		t.Errorf("got %d, want none when all are given", n)
	}
}

// TestTLSForgottenDomain: where nobody knows any more whom the certificate must speak for, none is good.
func TestTLSForgottenDomain(t *testing.T) {
	a, b, atA, atB := pair(t, limits{})
	a.tls.Client = func(string) *tls.Config { return &tls.Config{InsecureSkipVerify: true} } // as for a telephone
	out := a.NewOut()
	out.Send(Flow{Proto: TLS, Domain: 1 << 20, Remote: to(t, a, b, "b.example").Remote}, []byte(request("x", 0)), 1)
	out.Flush()
	if got := next(t, atA.failed); !errors.Is(got.err, errForgotten) || len(atB.got) > 0 {
		t.Errorf("got %v and %d messages, want errForgotten and none", got.err, len(atB.got))
	}
}

// TestTLSKeysUnread: who makes TLS answer and reads nothing is cut off when no more can wait.
func TestTLSKeysUnread(t *testing.T) {
	a, b, _, atB := pair(t, limits{})
	out := a.NewOut()
	out.Send(to(t, a, b, "b.example"), []byte(request("x", 0)), 0)
	out.Flush()
	c := b.table.byConnID(next(t, atB.got).from.Conn)
	c.mu.Lock()
	for c.writing { // the echo
		c.mu.Unlock()
		runtime.Gosched()
		c.mu.Lock()
	}
	c.writing, c.queue = true, make([]queued, maxQueueMessages)
	c.mu.Unlock()
	c.tls.below.Write([]byte("an answer to a new key"))
	c.flush()
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.aborted {
		t.Error("got a connection that goes on, want it closed")
	}
}
