package test

import (
	"crypto/tls"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"sipd/internal/soak"
)

// domains is a server of homeDomain, a second one with several domains, and the name server that leads from one to the other, all on
// loopback. Its users are scripted.
type domains struct {
	ca   *authority
	dns  *nameServer
	home *process
	line *line // of alice and carol, at home
}

// Where the zones lead, besides the far server.
type elsewhere struct {
	dead, hung                 netip.AddrPort // nobody listens; somebody takes connections and says nothing
	wrong, expired, selfSigned netip.AddrPort // TLS servers with bad certificates
}

// zone leads to TLS servers, the first first.
func zone(servers ...netip.AddrPort) string {
	text := "@ NAPTR 10 10 \"s\" \"SIPS+D2T\" \"\" _sips._tcp\nsip A 127.0.0.1\n"
	for i, s := range servers {
		text += fmt.Sprintf("_sips._tcp SRV %d 1 %d sip\n", i+1, s.Port())
	}
	return text
}

// newDomains starts everything. The names of the second server's domains are in its certificate.
func newDomains(t *testing.T) *domains {
	t.Helper()
	need(t, "nsd")
	d := &domains{ca: newAuthority(t)}
	e := elsewhere{dead: refuse(t), hung: hang(t)}
	e.wrong = d.shake(t, d.ca.issue(t, certificateLife, "somebody.example"))
	e.expired = d.shake(t, d.ca.issue(t, -time.Hour, "expired.example"))
	e.selfSigned = d.shake(t, d.ca.selfSigned(t, "self.example"))
	homeDB, farDB := sqliteIn(t.TempDir()), sqliteIn(t.TempDir())
	fill(t, homeDB, homeDomain, "alice", "carol")
	fill(t, farDB, farDomain, "bob")
	run(t, built(t, "sipd"), "user", "set", "bob@"+farDomain, "--auth-policy", "requested", "-D", farDB.url)
	farNames := []string{"later.example", "dead.example", "hung.example"}
	for _, name := range farNames {
		run(t, built(t, "sipd"), "domain", "add", name, "--canonical", farDomain, "-D", farDB.url)
	}
	anywhere := []string{"--listen", "udp:127.0.0.1:0", "--listen", "tls:127.0.0.1:0"}
	far := trusting(t, d.ca.roots, nil, farDB, slices.Concat(anywhere, d.ca.issue(t, certificateLife, append(farNames, farDomain)...).flags())...)
	to := bound(t, far, "tls")
	names := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, byte(os.Getpid() >> 8), byte(os.Getpid()), 53}), 5300) // Nobody else's.
	d.dns = serveZones(t, func(argv ...string) *exec.Cmd { return exec.Command(argv[0], argv[1:]...) },
		strings.Replace(names.String(), ":", "@", 1), map[string]string{
			farDomain: zone(to), "later.example": zone(to),
			"dead.example": zone(e.dead, to), "hung.example": zone(e.hung, to), "nobody.example": zone(e.dead),
			"wrong.example": zone(e.wrong), "expired.example": zone(e.expired), "self.example": zone(e.selfSigned),
		})
	d.home = trusting(t, d.ca.roots, nil, homeDB, slices.Concat(anywhere, d.ca.issue(t, certificateLife, homeDomain).flags(), []string{"--set", "Resolver=" + names.String()})...)
	d.line = openLine(t, bound(t, d.home, "udp"))
	d.line.register(t, userOf("carol", homeDomain))
	openLine(t, bound(t, far, "udp")).register(t, userOf("bob", farDomain))
	return d
}

// bound returns where a server listens, of its first listener of a transport.
func bound(t testing.TB, p *process, transport string) netip.AddrPort {
	t.Helper()
	m := regexp.MustCompile(`msg=listening listeners=.*\b` + transport + `:(127[0-9.]+:\d+)`).FindStringSubmatch(p.output())
	if m == nil {
		t.Fatalf("no listener of %s:\n%s", transport, p.output())
	}
	return netip.MustParseAddrPort(m[1])
}

// userOf is a user that fill has made.
func userOf(name, domain string) user { return user{name, domain, "word-of-" + name} }

// register makes a binding that lasts.
func (l *line) register(t testing.TB, u user) {
	t.Helper()
	_, _, response := l.authorized(u, dialled{method: "REGISTER", uri: "sip:" + u.domain, to: "<" + u.aor() + ">",
		callID: "reg-" + u.name, cseq: 1, more: fmt.Sprintf("Contact: <sip:%s@%v>\r\nExpires: 3600\r\n", u.name, l.conn.LocalAddr())})
	if soak.Status(response) != 200 {
		t.Fatalf("%s cannot register: %s", u.name, response)
	}
}

// call makes alice call and hang up at once. It returns the status of the INVITE, and how long the answer took.
func (d *domains) call(t testing.TB, uri string) (status int, took time.Duration) {
	t.Helper()
	alice, id := userOf("alice", homeDomain), fmt.Sprintf("%s-%x", uri, rand.Uint64())
	begin := time.Now()
	sent, invite, response := d.line.authorized(alice, dialled{method: "INVITE", uri: uri, to: "<" + uri + ">", callID: id, cseq: 1,
		more: fmt.Sprintf("Contact: <sip:alice@%v>\r\n", d.line.conn.LocalAddr())})
	took = time.Since(begin)
	if status = soak.Status(response); status != 200 {
		if status != 0 {
			d.line.ackFailure(invite, response)
		}
		return status, took
	}
	in := d.line.dialog(alice, sent, invite, response)
	in.method, in.cseq = "BYE", in.cseq+1
	if bye := soak.Status(d.line.ask(d.line.text(alice, in), timerF)); bye != 200 {
		t.Errorf("%s: BYE got %d, want 200", uri, bye)
	}
	return status, took
}

// refuse holds a port where nobody listens.
func refuse(t testing.TB) netip.AddrPort {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(name.(*syscall.SockaddrInet4).Port))
}

// hang listens and never says anything.
func hang(t testing.TB) netip.AddrPort {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().(*net.TCPAddr).AddrPort() // The system takes the connections.
}

// shake is a server that shakes hands with a certificate. Nothing may come after that.
func (d *domains) shake(t testing.TB, p pair) netip.AddrPort {
	t.Helper()
	c, err := tls.LoadX509KeyPair(p.cert, p.key)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{c}})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conn.SetDeadline(time.Now().Add(10 * time.Second))
			buf := make([]byte, 1)
			if n, _ := conn.Read(buf); n > 0 {
				t.Errorf("a server whose certificate is bad got a message")
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return l.Addr().(*net.TCPAddr).AddrPort()
}

// What a call that goes wrong may cost on a loaded machine.
const (
	// soon is the limit of what needs no waiting. Whatever waits for a name server or a silent host waits for a second at least.
	soon = time.Second
	// silence is how long a next hop may say nothing (docs/adr/0019-next-hops-by-name.md).
	silence = 4 * time.Second
)

// TestDomainsFail is what happens when the other domain, or DNS, is not as it should be.
func TestDomainsFail(t *testing.T) {
	t.Parallel()
	d := newDomains(t)
	if status, _ := d.call(t, "sip:bob@"+farDomain); status != 200 {
		t.Fatalf("got %d for a call to a domain that works, want 200", status)
	}
	if status, _ := d.call(t, "sip:bob@nowhere.later.example"); status != 404 {
		t.Errorf("got %d for a call to a domain that does not exist, want 404", status)
	}
	for _, tc := range []struct {
		name, domain string
		status       int
		atLeast      time.Duration
		log          string // of the calling server: domain, hop and reason
	}{
		{"wrong name", "wrong.example", 500, 0, "the certificate is of somebody else: it speaks for somebody.example, not for wrong.example"},
		{"expired", "expired.example", 500, 0, "certificate has expired"},
		{"self-signed", "self.example", 500, 0, "certificate signed by unknown authority"},
		{"nobody listens", "nobody.example", 500, 0, "connection refused"},
		{"backup for a server that is down", "dead.example", 200, 0, "connection refused"},
		{"backup for a server that hangs", "hung.example", 200, silence, "no answer"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			status, took := d.call(t, "sip:bob@"+tc.domain)
			t.Logf("%d after %v", status, took.Round(100*time.Microsecond))
			if status != tc.status || took < tc.atLeast || took > tc.atLeast+soon {
				t.Errorf("got %d after %v, want %d after %v", status, took, tc.status, tc.atLeast)
			}
			if again, took := d.call(t, "sip:bob@"+tc.domain); again != status || took > soon { // What is down is known.
				t.Errorf("the second call got %d after %v, want %d at once", again, took, status)
			}
			d.home.printed(t, 0, phoneStep, `(?m)msg="next hop is down" .*hop=tls:127\.0\.0\.1:\d+ domain=`+regexp.QuoteMeta(tc.domain)+` reason="[^\n]*`+tc.log)
		})
	}
	t.Run("silent name server", d.silentDNS)
}

// TestOwnCertificate: the log tells whom the certificate is of, and that it is of the host alone: others ask for the domain.
func TestOwnCertificate(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t)
	for name, want := range map[string]string{
		homeDomain:          `(?m)level=INFO msg=certificate .*names=one\.example until=`,
		"sip." + homeDomain: `(?m)level=WARN msg="the certificate is of no domain of this server`,
	} {
		db := sqliteIn(t.TempDir())
		fill(t, db, homeDomain)
		p := startServer(t, nil, db, append(ca.issue(t, certificateLife, name).flags(), "--listen", "tls:127.0.0.1:0")...)
		p.printed(t, 0, time.Second, want)
		if warned := strings.Contains(p.output(), "of no domain"); warned != (name != homeDomain) {
			t.Errorf("certificate of %s: warned %v:\n%s", name, warned, p.output())
		}
	}
}

// silentDNS makes local calls while the name server says nothing and calls to many other domains wait for it.
func (d *domains) silentDNS(t *testing.T) {
	local := func(span time.Duration) (all []time.Duration) {
		for begin := time.Now(); time.Since(begin) < span; {
			status, took := d.call(t, "sip:carol@"+homeDomain)
			if status != 200 {
				t.Fatalf("a local call got %d, want 200", status)
			}
			all = append(all, took)
		}
		slices.Sort(all)
		return all
	}
	before := local(time.Second)
	group := -d.dns.cmd.Process.Pid
	if err := syscall.Kill(group, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	var waiting sync.WaitGroup
	for i := range 50 {
		waiting.Go(func() {
			if status, took := d.call(t, fmt.Sprintf("sip:bob@n%d.later.example", i)); took < soon {
				t.Errorf("a call to another domain got %d after %v, want that it waits for the name server", status, took)
			}
		})
	}
	during := local(5 * time.Second)
	if err := syscall.Kill(group, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	waiting.Wait()
	p99 := func(all []time.Duration) time.Duration { return all[len(all)*99/100].Round(10 * time.Microsecond) }
	t.Logf("99 of 100 local calls within %v before and %v while the name server was silent (%d and %d calls)", p99(before), p99(during), len(before), len(during))
	if slow := during[len(during)-1]; slow > soon {
		t.Errorf("a local call took %v while the name server was silent, want less than %v", slow, soon)
	}
	eventually(t, time.Minute, "calls to other domains go on when the name server is back", func() bool {
		status, _ := d.call(t, "sip:bob@later.example")
		return status == 200
	})
}
