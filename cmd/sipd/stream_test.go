package main

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/textproto"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"sipd/digest"
)

// streamPhone is a telephone on a connection of its own.
type streamPhone struct {
	net.Conn
	t    *testing.T
	user string
	via  string // "TLS"
	in   *bufio.Reader
	n    int
}

// newStreamPhone is a phone on a connection, over TLS when cfg is not nil.
func newStreamPhone(t *testing.T, addr, user string, cfg *tls.Config) *streamPhone {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &streamPhone{Conn: c, t: t, user: user, via: "TCP"}
	if cfg != nil {
		p.Conn, p.via = tls.Client(c, cfg), "TLS"
	}
	t.Cleanup(func() { c.Close() })
	p.in = bufio.NewReader(p.Conn)
	return p
}

// contact is where the phone says it is reached.
func (p *streamPhone) contact() string {
	return fmt.Sprintf("<sip:%s@%v;transport=%s>", p.user, p.LocalAddr(), strings.ToLower(p.via))
}

// request sends a request. fields are header lines; From, To and Call-ID are among them.
func (p *streamPhone) request(method, uri string, cseq int, fields ...string) {
	p.t.Helper()
	p.n++
	p.send(fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/%s %v;branch=z9hG4bK%s%d;rport\r\nMax-Forwards: 70\r\nCSeq: %d %s\r\nContact: %s\r\n%s\r\nContent-Length: 0\r\n\r\n",
		method, uri, p.via, p.LocalAddr(), p.user, p.n, cseq, method, p.contact(), strings.Join(fields, "\r\n")))
}

func (p *streamPhone) send(text string) {
	p.t.Helper()
	if err := p.SetDeadline(time.Now().Add(patience)); err != nil {
		p.t.Fatal(err)
	}
	if _, err := io.WriteString(p, text); err != nil {
		p.t.Fatalf("%s: %v", p.user, err)
	}
}

// message is what a phone has received.
type message struct {
	first string
	textproto.MIMEHeader
}

// next reads a message that begins with want; provisional responses before it are skipped.
func (p *streamPhone) next(want string) message {
	p.t.Helper()
	for {
		if err := p.SetDeadline(time.Now().Add(patience)); err != nil {
			p.t.Fatal(err)
		}
		r := textproto.NewReader(p.in)
		first, err := r.ReadLine()
		if err != nil {
			p.t.Fatalf("%s waits for %q: %v", p.user, want, err)
		}
		h, err := r.ReadMIMEHeader()
		if err != nil {
			p.t.Fatalf("%s waits for %q: %v", p.user, want, err)
		}
		body, _ := strconv.Atoi(h.Get("Content-Length"))
		if _, err := p.in.Discard(body); err != nil {
			p.t.Fatal(err)
		}
		switch {
		case strings.HasPrefix(first, want):
			return message{first, h}
		case !strings.HasPrefix(first, "SIP/2.0 1"):
			p.t.Fatalf("%s got %q, want %q", p.user, first, want)
		}
	}
}

// answer sends a response to q.
func (p *streamPhone) answer(q message, status string) {
	p.t.Helper()
	text := "SIP/2.0 " + status + "\r\n"
	for _, name := range []string{"Via", "Record-Route", "From", "Call-Id", "Cseq"} {
		for _, value := range q.Values(name) {
			text += name + ": " + value + "\r\n"
		}
	}
	to := q.Get("To")
	if !strings.Contains(to, ";tag=") {
		to += ";tag=" + p.user
	}
	p.send(text + "To: " + to + "\r\nContact: " + p.contact() + "\r\nContent-Length: 0\r\n\r\n")
}

// register registers the phone, with more header lines.
func (p *streamPhone) register(more ...string) {
	p.t.Helper()
	aor := "<sip:" + p.user + "@example.com>"
	party := append(more, "From: "+aor+";tag=r", "To: "+aor, "Call-ID: register-"+p.user)
	p.request("REGISTER", "sip:example.com", p.n+1, party...)
	challenge := p.next("SIP/2.0 401 ").Get("WWW-Authenticate")
	credentials, err := digest.Authorize(challenge, p.user, "secret", "REGISTER", "sip:example.com")
	if err != nil {
		p.t.Fatal(err)
	}
	p.request("REGISTER", "sip:example.com", p.n+1, append(party, "Authorization: "+credentials)...)
	p.next("SIP/2.0 200 ")
}

// streamCall is a call between two phones.
type streamCall struct {
	caller, callee *streamPhone
	invite, ok     message
}

// ring calls until the caller hears that it rings.
func ring(caller, callee *streamPhone) *streamCall {
	caller.t.Helper()
	c := &streamCall{caller: caller, callee: callee}
	caller.request("INVITE", "sip:"+callee.user+"@example.com", 1, c.party(false)...)
	c.invite = callee.next("INVITE ")
	callee.answer(c.invite, "180 Ringing")
	caller.next("SIP/2.0 180 ")
	return c
}

// party are From, To and Call-ID of the caller.
func (c *streamCall) party(answered bool) []string {
	to := "To: <sip:" + c.callee.user + "@example.com>"
	if answered {
		to += ";tag=" + c.callee.user
	}
	return []string{"From: <sip:" + c.caller.user + "@example.com>;tag=c", to, "Call-ID: call-" + c.caller.user}
}

// pickUp answers the call.
func (c *streamCall) pickUp() {
	c.caller.t.Helper()
	c.callee.answer(c.invite, "200 OK")
	c.ok = c.caller.next("SIP/2.0 200 ")
	c.caller.request("ACK", remoteTarget(c.ok), 1, append(c.party(true), "Route: "+c.ok.Get("Record-Route"))...)
	c.callee.next("ACK ")
}

// hangUp ends the call, by the callee or by the caller.
func (c *streamCall) hangUp(byCallee bool) {
	c.caller.t.Helper()
	from, to := c.caller, c.callee
	target, party := remoteTarget(c.ok), c.party(true)
	if byCallee {
		from, to = to, from
		target = remoteTarget(c.invite)
		party = []string{strings.Replace(party[1], "To:", "From:", 1), strings.Replace(party[0], "From:", "To:", 1), party[2]}
	}
	from.request("BYE", target, 2, append(party, "Route: "+c.ok.Get("Record-Route"))...)
	to.answer(to.next("BYE "), "200 OK")
	from.next("SIP/2.0 200 ")
}

func remoteTarget(m message) string { return strings.Trim(m.Get("Contact"), "<>") }

// streamServer starts a server with n users u0, u1, ... whom nobody asks for a password. It returns where it listens.
func streamServer(t *testing.T, n int, args ...string) (*running, map[string]string) {
	t.Helper()
	d := database(t)
	var rows strings.Builder
	rows.WriteString("user_key,password,auth_policy\n")
	for i := range n {
		fmt.Fprintf(&rows, "u%d@example.com,secret,never\n", i)
	}
	file := filepath.Join(t.TempDir(), "users.csv")
	writeFile(t, file, rows.String())
	must(t, "user", "import", file, d)
	r := start(t, append([]string{d, "--set", "RateLimit=off"}, args...)...)
	addrs := map[string]string{}
	for _, a := range r.addrs {
		proto, addr, _ := strings.Cut(a, ":")
		addrs[proto] = addr
	}
	return r, addrs
}

// selfSigned writes a certificate that is its own authority, and its key, into dir.
func selfSigned(t *testing.T, dir, name string, notAfter time.Time) (leaf *x509.Certificate, certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: serial, DNSNames: []string{name}, IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: notAfter}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	if leaf, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	writeFile(t, certFile, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	writeFile(t, keyFile, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: keyDER})))
	return leaf, certFile, keyFile
}

// moveInto moves files into dir, as who renews a certificate does.
func moveInto(t *testing.T, dir string, files ...string) {
	t.Helper()
	for _, f := range files {
		if err := os.Rename(f, filepath.Join(dir, filepath.Base(f))); err != nil {
			t.Fatal(err)
		}
	}
}

// TestConnectionsKept: the connection that a telephone is registered over may be idle until the registration ends.
func TestConnectionsKept(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "admin.sock")
	_, addrs := streamServer(t, 2, "--listen", "tcp:127.0.0.1:0", "--admin", "unix:"+socket)
	idle := newStreamPhone(t, addrs["tcp"], "u0", nil)
	idle.request("OPTIONS", "sip:example.com", 1, "From: <sip:u0@example.com>;tag=o", "To: <sip:example.com>", "Call-ID: o")
	idle.next("SIP/2.0 200 ")
	p := newStreamPhone(t, addrs["tcp"], "u1", nil)
	p.register()
	eventually(t, "one of two connections is kept", func() bool {
		page := get(t, socket, "/status")
		return strings.Contains(page, `"connections":2,"connections_kept":1,`)
	})
	p.register("Expires: 0")
	eventually(t, "none is kept", func() bool {
		return strings.Contains(get(t, socket, "/status"), `"connections":2,"connections_kept":0,`)
	})
}
