package soak

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"sipd/digest"
)

// Config is what a Crowd is made of.
type Config struct {
	Server netip.AddrPort // speaks UDP and TCP there
	Domain string
	Corpus []string      // messages of others to send and to mutate, may be empty
	For    time.Duration // how long Run will be told to go on: what takes longer than that is left out
}

// Crowd is the telephones.
type Crowd struct {
	cfg     Config
	account *Account
	phones  *phones

	callees   []*line // UDP, then TCP
	callers   []*line // UDP, then TCP
	registrar *line
	mutators  []*line
	closed    netip.AddrPort // nobody listens there

	rate    atomic.Int64 // calls in a thousand seconds
	open    atomic.Int64 // what is under way
	missed  atomic.Int64 // what was not begun, because too much was under way
	nonsens atomic.Int64 // mutated messages sent
	work    sync.WaitGroup

	mu    sync.Mutex
	users []*registrant
}

// How many of each there are.
const (
	callerLines  = 6
	calleeLines  = 4
	mutatorLines = 4
	callersKnown = 50
	registrants  = 300
	// maxOpen bounds what is under way, should the server answer nothing.
	maxOpen = 20_000
)

// callees are the users that are called: their telephones, each a word and whether it speaks TCP, and how many such users there are.
type callee struct {
	name   string
	count  int
	phones []phone
}

type phone struct {
	word string
	tcp  bool
}

var callees = []callee{
	{"a", 100, []phone{{answers, false}}},
	{"t", 40, []phone{{answers, true}}},
	{"h", 20, []phone{{hangsUp, false}}},
	{"b", 20, []phone{{busy, false}}},
	{"r", 20, []phone{{rings, false}}},
	{"l", 20, []phone{{late, false}}},
	{"z", 20, []phone{{razor, false}}},
	{"f", 30, []phone{{rings, false}, {slowly, true}, {rings, true}}},
	{"g", 20, []phone{{busy, false}, {notFound, true}, {declines, false}}},
	{"n", 10, nil},
	{"d", 10, []phone{{dead, false}}},
	{"k", 10, []phone{{absent, false}}},
	{"m", 10, []phone{{busy, false}}},
}

// User is one that the server's database must have.
type User struct {
	Name, Password string
	Never          bool // auth_policy never: may be called by strangers
}

func password(name string) string { return "word-of-" + name }

// Users returns everybody.
func Users() (list []User) {
	for _, c := range callees {
		for n := range c.count {
			name := fmt.Sprintf("%s%d", c.name, n)
			list = append(list, User{name, password(name), true})
		}
	}
	for n := range callersKnown {
		name := fmt.Sprintf("c%d", n)
		list = append(list, User{name, password(name), false})
	}
	for n := range registrants {
		name := fmt.Sprintf("u%d", n)
		list = append(list, User{name, password(name), false})
	}
	return list
}

// registrant is a user that registers and leaves, again and again.
type registrant struct {
	name      string
	callID    string
	cseq      int
	busy      bool
	bound     bool
	challenge *digest.Challenge
	count     uint32
}

// New opens the crowd's sockets.
func New(cfg Config) (c *Crowd, err error) {
	c = &Crowd{cfg: cfg, account: newAccount()}
	c.phones = newPhones(c.account)
	defer func() {
		if err != nil {
			c.Close()
		}
	}()
	add := func(to *[]*line, n int, open func(netip.AddrPort, func(*line, string)) (*line, error), requests func(*line, string)) {
		for range n {
			if err == nil {
				var l *line
				if l, err = open(cfg.Server, requests); err == nil {
					*to = append(*to, l)
				}
			}
		}
	}
	add(&c.callees, calleeLines, openUDP, c.phones.request)
	add(&c.callees, calleeLines, openTCP, c.phones.request)
	add(&c.callers, callerLines, openUDP, called)
	add(&c.callers, callerLines, openTCP, called)
	add(&c.mutators, mutatorLines, openUDP, nil)
	var one []*line
	add(&one, 1, openUDP, nil)
	if err != nil {
		return nil, err
	}
	c.registrar = one[0]
	if c.closed, err = closedPort(cfg.Server.Addr()); err != nil {
		return nil, err
	}
	for n := range registrants {
		c.users = append(c.users, &registrant{name: fmt.Sprintf("u%d", n), callID: newCallID()})
	}
	return c, nil
}

// closedPort returns a TCP port that refuses connections: another one of the system's choice is not soon chosen again.
func closedPort(addr netip.Addr) (netip.AddrPort, error) {
	l, err := net.ListenTCP("tcp", net.TCPAddrFromAddrPort(netip.AddrPortFrom(addr, 0)))
	if err != nil {
		return netip.AddrPort{}, err
	}
	closed := l.Addr().(*net.TCPAddr).AddrPort()
	return closed, l.Close()
}

// called is what a caller's telephone does with a request: the other side hangs up, or asks something.
func called(l *line, text string) {
	if !strings.HasPrefix(text, "ACK ") {
		l.write(reply(text, 200, "c", ""))
	}
}

// Close closes the sockets.
func (c *Crowd) Close() {
	lines := append(append(append([]*line(nil), c.callees...), c.callers...), c.mutators...)
	if c.registrar != nil {
		lines = append(lines, c.registrar)
	}
	for _, l := range lines {
		l.end()
	}
	c.callees, c.callers, c.mutators, c.registrar = nil, nil, nil, nil
}

// Account is what became of everything.
func (c *Crowd) Account() *Account { return c.account }

// SetRate sets how many calls begin in a second; of everything else there is a share.
func (c *Crowd) SetRate(calls float64) { c.rate.Store(int64(calls * 1000)) }

// Rate is what SetRate has set.
func (c *Crowd) Rate() float64 { return float64(c.rate.Load()) / 1000 }

// Open returns how many calls and other requests are under way, and how many were not begun for that.
func (c *Crowd) Open() (open, missed int64) { return c.open.Load(), c.missed.Load() }

// Nonsense returns how many mutated messages were sent.
func (c *Crowd) Nonsense() int64 { return c.nonsens.Load() }

// Settle registers the telephones of everybody who is called.
func (c *Crowd) Settle() error {
	for _, who := range callees {
		for n := range who.count {
			name := fmt.Sprintf("%s%d", who.name, n)
			for i, p := range who.phones {
				if err := c.bind(name, n, i, p); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// expires is longer than any run.
const expires = "Expires: 7200\r\n"

// bind registers one telephone.
func (c *Crowd) bind(name string, n, i int, p phone) error {
	l := c.callees[n%calleeLines]
	contact := fmt.Sprintf("Contact: <sip:%s-%s-%d@%s>\r\n", p.word, name, i, l.addr)
	if p.tcp {
		l = c.callees[calleeLines+n%calleeLines]
		contact = fmt.Sprintf("Contact: <sip:%s-%s-%d@%s;transport=tcp>\r\n", p.word, name, i, l.addr)
	}
	if p.word == absent {
		contact = fmt.Sprintf("Contact: <sip:%s-%s-%d@%s;transport=tcp>\r\n", p.word, name, i, c.closed)
	}
	r := &registrant{name: name, callID: newCallID()}
	if status := c.register(l, r, contact+expires, "registration of a telephone"); status != 200 {
		return fmt.Errorf("%s cannot register its telephone %d: got %d, want 200", name, i, status)
	}
	return nil
}

// startEvery is the grain of what begins.
const startEvery = 5 * time.Millisecond

// Run calls, registers and sends nonsense until ctx ends, and returns when all of that has ended.
func (c *Crowd) Run(ctx context.Context) {
	tick := time.NewTicker(startEvery)
	defer tick.Stop()
	last, due := time.Now(), 0.0
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case now := <-tick.C:
			due += now.Sub(last).Seconds() * c.Rate()
			last = now
			for ; due >= 1; due-- {
				c.start()
			}
		}
	}
	c.work.Wait()
	for c.phones.pending() > 0 {
		time.Sleep(timerT1)
	}
}

// start begins a call, and its share of the rest.
func (c *Crowd) start() {
	c.begin(c.scene())
	if rand.IntN(2) == 0 {
		c.begin(c.registration)
	}
	switch rand.IntN(10) {
	case 0:
		c.begin(c.message)
	case 1:
		c.begin(c.options)
	case 2:
		c.begin(c.wrongPassword)
	}
	if rand.IntN(2) == 0 {
		c.mutate()
	}
	if rand.IntN(20) == 0 {
		c.begin(c.mutateStream)
	}
}

// begin runs f in a goroutine of its own.
func (c *Crowd) begin(f func()) {
	if c.open.Load() >= maxOpen {
		c.missed.Add(1)
		return
	}
	c.open.Add(1)
	c.work.Go(func() {
		defer c.open.Add(-1)
		f()
	})
}
