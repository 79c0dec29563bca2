package main

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"sipd/digest"
)

// idleVariable makes the test binary a crowd of telephones: "tcp 127.0.0.1:5060 1000", transport, server and how many.
const idleVariable = "SIPD_TEST_IDLE"

func TestMain(m *testing.M) {
	if spec := os.Getenv(idleVariable); spec != "" {
		if err := crowd(spec); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// crowd registers telephones, each over a connection of its own, and says so; then for each line of standard input each asks for
// the server's options and waits for the answer, and the crowd says so. It ends with standard input.
func crowd(spec string) error {
	var proto, server string
	var n int
	if _, err := fmt.Sscan(spec, &proto, &server, &n); err != nil {
		return err
	}
	phones := make([]*idlePhone, n)
	all := func(do func(i int) error) error {
		const atOnce = 16
		errs := make([]error, atOnce)
		var wg sync.WaitGroup
		for k := range atOnce {
			wg.Go(func() {
				for i := k; i < n && errs[k] == nil; i += atOnce {
					if err := do(i); err != nil {
						errs[k] = fmt.Errorf("telephone %d: %w", i, err)
					}
				}
			})
		}
		wg.Wait()
		return errors.Join(errs...)
	}
	if err := all(func(i int) (err error) {
		phones[i], err = dialIdle(proto, server, i)
		return err
	}); err != nil {
		return err
	}
	fmt.Println("registered")
	for in := bufio.NewScanner(os.Stdin); in.Scan(); fmt.Println("asked") {
		if err := all(func(i int) error { return phones[i].options() }); err != nil {
			return err
		}
	}
	return nil
}

// idlePhone is a telephone that is registered and waits.
type idlePhone struct {
	net.Conn
	user string
	cseq int
}

// dialIdle opens a connection, from one of many addresses, and registers.
func dialIdle(proto, server string, i int) (*idlePhone, error) {
	d := net.Dialer{Timeout: patience, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, byte(1+i/250), byte(1+i%250))}}
	c, err := d.Dial("tcp", server)
	if err != nil {
		return nil, err
	}
	if proto == "tls" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	p := &idlePhone{Conn: c, user: "u" + strconv.Itoa(i)}
	answer, err := p.ask("REGISTER", "")
	if err != nil {
		return nil, err
	}
	_, challenge, _ := strings.Cut(answer, "WWW-Authenticate: ")
	challenge, _, _ = strings.Cut(challenge, "\r\n")
	credentials, err := digest.Authorize(challenge, p.user, "secret", "REGISTER", "sip:example.com")
	if err != nil {
		return nil, err
	}
	answer, err = p.ask("REGISTER", "Authorization: "+credentials+"\r\n")
	if err == nil && !strings.HasPrefix(answer, "SIP/2.0 200 ") {
		err = fmt.Errorf("got %q, want 200", answer)
	}
	return p, err
}

func (p *idlePhone) options() error {
	answer, err := p.ask("OPTIONS", "")
	if err == nil && !strings.HasPrefix(answer, "SIP/2.0 200 ") {
		err = fmt.Errorf("got %q, want 200", answer)
	}
	return err
}

// ask sends a request and returns its answer, which has no body.
func (p *idlePhone) ask(method, more string) (string, error) {
	p.cseq++
	if err := p.SetDeadline(time.Now().Add(patience)); err != nil {
		return "", err
	}
	if _, err := fmt.Fprintf(p, "%s sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP %v;branch=z9hG4bK%s.%d\r\nMax-Forwards: 70\r\nFrom: <sip:%s@example.com>;tag=i\r\nTo: <sip:%s@example.com>\r\nCall-ID: idle-%s\r\nCSeq: %d %s\r\nContact: <sip:%s@%v;transport=tcp>\r\n%sContent-Length: 0\r\n\r\n",
		method, p.LocalAddr(), p.user, p.cseq, p.user, p.user, p.user, p.cseq, method, p.user, p.LocalAddr(), more); err != nil {
		return "", err
	}
	var answer []byte
	buf := make([]byte, 2048)
	for !strings.HasSuffix(string(answer), "\r\n\r\n") {
		n, err := p.Read(buf)
		if err != nil {
			return "", err
		}
		answer = append(answer, buf[:n]...)
	}
	return string(answer), nil
}

// expectLine waits for a line of the crowd.
func expectLine(t *testing.T, r *bufio.Reader, want string) {
	t.Helper()
	line, err := r.ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) || strings.TrimSpace(line) != want {
		t.Fatalf("got %q, %v from the telephones, want %q", line, err, want)
	}
}
