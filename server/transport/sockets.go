package transport

import (
	"context"
	"crypto/x509"
	"log/slog"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Sockets is the real Network.
type Sockets struct {
	log       *slog.Logger
	limits    limits
	listeners []*listener // fixed after Listen
	tls       *TLSConfigs // nil: no TLS

	table  table
	own    atomic.Pointer[ownAddrs]
	routes routeCache

	receiver atomic.Pointer[Receiver] // while Run runs
	lanes    atomic.Uint32            // how many Outs were made: spreads them over the sockets
	pool     sync.Pool                // of *Out, for stream readers: a connection that is silent needs none
	wg       sync.WaitGroup           // all goroutines of Run

	panics   atomic.Uint64
	dropped  atomic.Uint64
	waiting  atomic.Int64 // bytes in the queues of all connections
	refused  throttle
	readErrs throttle
	shakes   throttle
}

var _ Network = (*Sockets)(nil)

// Addrs returns the listeners as bound: with the port that was chosen where 0 was asked for.
func (s *Sockets) Addrs() []Listener {
	all := make([]Listener, len(s.listeners))
	for i, l := range s.listeners {
		all[i] = l.Listener
	}
	return all
}

// Panics returns how many panics of the Receiver were caught.
func (s *Sockets) Panics() uint64 { return s.panics.Load() }

// Dropped returns how many datagrams were lost here: the socket's send buffer stayed full.
func (s *Sockets) Dropped() uint64 { return s.dropped.Load() }

// Conns returns the number of stream connections, those being opened included.
func (s *Sockets) Conns() int { return s.table.len() }

// Keep protects a connection from being closed for idleness, or takes the protection back: connections that live bindings
// are reached by are kept (BEHAVIOUR J).
func (s *Sockets) Keep(id ConnID, keep bool) {
	if c := s.table.byConnID(id); c != nil {
		c.keep.Store(keep)
	}
}

// Kept returns the number of connections that are protected so.
func (s *Sockets) Kept() (n int) {
	s.table.mu.RLock()
	defer s.table.mu.RUnlock()
	for _, c := range s.table.byID {
		if c.keep.Load() {
			n++
		}
	}
	return n
}

// Certificates returns the verified certificates of a client, see Network.
func (s *Sockets) Certificates(id ConnID) []*x509.Certificate {
	if c := s.table.byConnID(id); c != nil {
		return c.client()
	}
	return nil
}

// Close closes the listeners. It is for Sockets whose Run is never called; Run closes them itself.
func (s *Sockets) Close() {
	for _, l := range s.listeners {
		l.close()
	}
}

// Run serves r until ctx ends. Connections still open then are closed without a report to r. It returns nil when all
// goroutines have ended. It can be called once.
func (s *Sockets) Run(ctx context.Context, r Receiver) error {
	if !s.receiver.CompareAndSwap(nil, &r) {
		return ErrStopped
	}
	s.table.start()
	for _, l := range s.listeners {
		for i, u := range l.udp {
			s.wg.Go(func() { s.serveUDP(u, i) })
		}
		if l.tcp != nil {
			s.wg.Go(func() { s.accept(ctx, l) })
		}
	}
	s.wg.Go(func() { s.watchOwn(ctx) })
	<-ctx.Done()
	for _, c := range s.table.stop() {
		c.abort()
	}
	s.Close()
	s.wg.Wait()
	return nil
}

// watchOwn keeps the table of own addresses fresh: interfaces come and go.
func (s *Sockets) watchOwn(ctx context.Context) {
	tick := time.NewTicker(ownPeriod)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.refreshOwn()
		}
	}
}

// receive hands one message to the Receiver. A panic there must not end the process, nor this goroutine: it is logged
// and counted, and the message is lost.
func (s *Sockets) receive(out *Out, from Flow, raw []byte) {
	defer s.caught("message")
	if r := s.receiver.Load(); r != nil {
		(*r).Receive(out, from, raw)
	}
}

// fail reports a message that could not be sent. Ref 0 is nobody's.
func (s *Sockets) fail(out *Out, ref Ref, err error) {
	if ref == 0 || s.table.stopped() {
		return
	}
	defer s.caught("send failure")
	if r := s.receiver.Load(); r != nil {
		(*r).SendFailed(out, ref, err)
	}
}

// flowClosed reports a connection that is gone.
func (s *Sockets) flowClosed(out *Out, flow Flow) {
	if s.table.stopped() {
		return
	}
	defer s.caught("closed flow")
	if r := s.receiver.Load(); r != nil {
		(*r).FlowClosed(out, flow)
	}
}

// caught ends a panic; it must be deferred directly.
func (s *Sockets) caught(doing string) {
	if p := recover(); p != nil {
		s.panics.Add(1)
		s.log.Error("panic", "doing", doing, "err", p, "stack", string(debug.Stack()))
	}
}

// sender delivers the packets of one Out.
type sender struct {
	s     *Sockets
	lane  int // which of a listener's sockets this Out uses
	batch sendBatch
}

// NewOut returns an empty send queue for one goroutine. Datagrams leave from the listener's own address and port.
func (s *Sockets) NewOut() *Out { return s.newOut(int(s.lanes.Add(1) & 0xffff)) }

func (s *Sockets) newOut(lane int) *Out {
	sd := &sender{s: s, lane: lane}
	return NewOut(sd.deliver)
}

// deliver sends packets: runs of datagrams in batches, stream messages one by one. Order is kept for each destination.
func (sd *sender) deliver(o *Out, packets []Packet) {
	for len(packets) > 0 {
		p := &packets[0]
		if p.To.Proto != UDP {
			if err := sd.s.sendStream(p); err != nil {
				sd.s.fail(o, p.Ref, err)
			}
			packets = packets[1:]
			continue
		}
		u := sd.socket(&p.To)
		if u == nil {
			sd.s.fail(o, p.Ref, ErrNoListener)
			packets = packets[1:]
			continue
		}
		n := 1
		for n < len(packets) && packets[n].To.Proto == UDP && sd.socket(&packets[n].To) == u {
			n++
		}
		if u.raw {
			sd.sendRaw(o, u, packets[:n])
		} else {
			sd.sendPortable(o, u, packets[:n])
		}
		packets = packets[n:]
	}
}

// socket returns the UDP socket that a datagram to this flow leaves from, nil when there is none of its family.
func (sd *sender) socket(to *Flow) *udpSocket {
	l := sd.s.listenerOf(UDP, to.Local, to.Remote.Addr())
	if l == nil {
		return nil
	}
	return l.udp[sd.lane%len(l.udp)]
}

// listenerOf finds the listener whose own address local is, if its family suits remote; else the one that Source names.
func (s *Sockets) listenerOf(p Proto, local netip.AddrPort, remote netip.Addr) *listener {
	is4 := is4(remote)
	if local.IsValid() && remote.IsValid() {
		for _, l := range s.listeners {
			if l.Proto == p && l.is4() == is4 && l.Addr.Port() == local.Port() && (l.wild || l.Addr.Addr() == local.Addr().Unmap()) {
				return l
			}
		}
	}
	return s.route(p, remote).l
}

func is4(a netip.Addr) bool { return a.Is4() || a.Is4In6() }

// throttle lets a log line through once per period, so that peers cannot fill the log.
type throttle struct {
	next   atomic.Int64 // since epoch
	silent atomic.Uint64
}

const throttlePeriod = time.Minute

// epoch is what moments are counted from that outlive a step of the wall clock.
var epoch = time.Now()

// allow tells whether to log now, and how many lines were held back since the last.
func (t *throttle) allow(now time.Time) (suppressed uint64, ok bool) {
	next := t.next.Load()
	since := now.Sub(epoch)
	if int64(since) < next || !t.next.CompareAndSwap(next, int64(since+throttlePeriod)) {
		t.silent.Add(1)
		return 0, false
	}
	return t.silent.Swap(0), true
}
