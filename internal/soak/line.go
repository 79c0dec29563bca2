package soak

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The timers of RFC 3261 17.
const (
	timerT1 = 500 * time.Millisecond
	timerT2 = 4 * time.Second
	timerB  = 64 * timerT1
	// afterlife is how long something is remembered for retransmissions after its end.
	afterlife = timerB + 8*time.Second
)

// line is a socket with many telephones behind it: requests and responses are told apart by branch.
type line struct {
	proto string // as in Via
	addr  string // as in Via
	write func(text string)
	close func()
	wg    sync.WaitGroup

	requests func(l *line, text string) // what a request does; set before the line is read

	mu      sync.Mutex
	waiting map[string]chan string // branch and method -> who awaits responses
	acks    map[string]string      // branch of an INVITE -> the ACK to its final response, sent again with each copy of it
}

func newLine(proto, addr string, requests func(l *line, text string)) *line {
	return &line{proto: proto, addr: addr, requests: requests, waiting: map[string]chan string{}, acks: map[string]string{}}
}

const (
	socketBuffer = 4 << 20
	maxMessage   = 65535
	// connectLimit and writeLimit are for a server on the same machine.
	connectLimit = 5 * time.Second
	writeLimit   = 5 * time.Second
)

// openUDP opens a line on a free port.
func openUDP(server netip.AddrPort, requests func(l *line, text string)) (*line, error) {
	conn, err := net.ListenUDP("udp", net.UDPAddrFromAddrPort(netip.AddrPortFrom(server.Addr(), 0)))
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadBuffer(socketBuffer); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	l := newLine("UDP", conn.LocalAddr().String(), requests)
	l.write = func(text string) {
		_, _ = conn.WriteToUDPAddrPort([]byte(text), server) // What is lost is sent again.
	}
	l.close = func() { conn.Close() }
	l.wg.Go(func() {
		buf := make([]byte, maxMessage)
		for {
			n, _, err := conn.ReadFromUDPAddrPort(buf)
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				l.arrived(string(buf[:n]))
			}
		}
	})
	return l, nil
}

// openTCP opens a line over a connection of its own.
func openTCP(server netip.AddrPort, requests func(l *line, text string)) (*line, error) {
	conn, err := net.DialTimeout("tcp", server.String(), connectLimit)
	if err != nil {
		return nil, err
	}
	l := newLine("TCP", conn.LocalAddr().String(), requests)
	var writing sync.Mutex
	l.write = func(text string) {
		writing.Lock()
		defer writing.Unlock()
		if conn.SetWriteDeadline(time.Now().Add(writeLimit)) == nil {
			_, _ = io.WriteString(conn, text) // A closed line is silent.
		}
	}
	l.close = func() { conn.Close() }
	l.wg.Go(func() {
		r := bufio.NewReaderSize(conn, maxMessage)
		for {
			text, err := readMessage(r)
			if err != nil {
				return
			}
			l.arrived(text)
		}
	})
	return l, nil
}

// readMessage reads one message of a stream (18.3).
func readMessage(r *bufio.Reader) (string, error) {
	var b strings.Builder
	length := 0
	for {
		text, err := r.ReadString('\n')
		if err != nil {
			return "", err
		}
		if text == "\r\n" {
			if b.Len() == 0 {
				continue // keepalive
			}
			b.WriteString(text)
			break
		}
		b.WriteString(text)
		if name, value, ok := strings.Cut(text, ":"); ok && strings.EqualFold(name, "Content-Length") {
			if length, err = strconv.Atoi(strings.TrimSpace(value)); err != nil || length < 0 || length > maxMessage {
				return "", fmt.Errorf("Content-Length %q", value)
			}
		}
	}
	body := make([]byte, length)
	if _, err := io.ReadFull(r, body); err != nil {
		return "", err
	}
	b.Write(body)
	return b.String(), nil
}

// end closes the line and waits for its reader.
func (l *line) end() {
	l.close()
	l.wg.Wait()
}

// arrived hands out what came.
func (l *line) arrived(text string) {
	if !strings.HasPrefix(text, "SIP/2.0 ") {
		if l.requests != nil {
			l.requests(l, text)
		}
		return
	}
	branch := branchOf(text)
	_, method := cseqOf(text)
	l.mu.Lock()
	to, ack := l.waiting[branch+method], l.acks[branch]
	l.mu.Unlock()
	switch {
	case to != nil:
		select {
		case to <- text:
		default: // So many copies say nothing new.
		}
	case ack != "" && method == "INVITE" && Status(text) >= 200:
		l.write(ack)
	}
}

// acknowledge sends the ACK of a final response to an INVITE, and again with each copy that comes (13.2.2.4, 17.1.1.2).
func (l *line) acknowledge(branch, ack string) {
	l.mu.Lock()
	l.acks[branch] = ack
	l.mu.Unlock()
	l.write(ack)
	time.AfterFunc(afterlife, func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		delete(l.acks, branch)
	})
}

// exchange is a client transaction (17.1).
type exchange struct {
	l         *line
	text      string
	branch    string
	key       string
	responses chan string
	end       time.Time // Timer B or F
	again     time.Time // Timer A or E; zero: stopped
	interval  time.Duration
	invite    bool
}

// maxCopies is how many responses may wait to be looked at.
const maxCopies = 32

func newBranch() string { return fmt.Sprintf("z9hG4bK%016x", rand.Uint64()) }

// begin sends a request with a branch of its own.
func (l *line) begin(d *draft) *exchange { return l.beginWith(d, newBranch()) }

func (l *line) beginWith(d *draft, branch string) *exchange {
	now := time.Now()
	x := &exchange{l: l, text: d.text(l, branch), branch: branch, key: branch + d.method, responses: make(chan string, maxCopies),
		end: now.Add(timerB), again: now.Add(timerT1), interval: timerT1, invite: d.method == "INVITE"}
	if l.proto != "UDP" {
		x.again = time.Time{}
	}
	l.mu.Lock()
	l.waiting[x.key] = x.responses
	l.mu.Unlock()
	l.write(x.text)
	return x
}

// next returns the next response, "" when none came until the time given or the transaction's own.
func (x *exchange) next(until time.Time) string {
	for {
		wake := until
		if x.end.Before(wake) {
			wake = x.end
		}
		again := !x.again.IsZero() && x.again.Before(wake)
		if again {
			wake = x.again
		}
		timer := time.NewTimer(time.Until(wake))
		select {
		case text := <-x.responses:
			timer.Stop()
			switch {
			case Status(text) >= 200 || x.invite:
				x.again = time.Time{}
			default:
				x.interval = timerT2 // 17.1.2.2: Proceeding.
			}
			if x.invite {
				x.end = time.Now().Add(setUpLimit) // 17.1.1.2: Timer B is over.
			}
			return text
		case <-timer.C:
			if !again {
				return ""
			}
			x.l.write(x.text)
			if x.interval *= 2; !x.invite {
				x.interval = min(x.interval, timerT2)
			}
			x.again = time.Now().Add(x.interval)
		}
	}
}

// final returns the final response, "" for none.
func (x *exchange) final(limit time.Duration) string {
	until := time.Now().Add(limit)
	for {
		text := x.next(until)
		if text == "" || Status(text) >= 200 {
			return text
		}
	}
}

// over forgets the transaction.
func (x *exchange) over() {
	x.l.mu.Lock()
	defer x.l.mu.Unlock()
	delete(x.l.waiting, x.key)
}

// ask sends a request other than INVITE and returns its final response.
func (l *line) ask(d *draft) string {
	x := l.begin(d)
	defer x.over()
	return x.final(timerB)
}
