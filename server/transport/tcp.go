package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"sipd/server/message"
)

// sendStream sends p on the connection it means, on another to the same remote, or on one that is opened for it (RFC
// 3261 18.1.1, 18.2.2). It never waits.
func (s *Sockets) sendStream(p *Packet) error {
	to := p.To
	to.Remote = netip.AddrPortFrom(to.Remote.Addr().Unmap(), to.Remote.Port())
	if c := s.table.find(&to); c != nil {
		if err := c.write(p.Data, p.Ref); err == nil || errors.Is(err, ErrQueueFull) {
			return err
		}
		s.table.remove(c) // It has closed, and its owner may not have noticed: the peer has not got a whole message.
	}
	if !to.Remote.IsValid() || to.Remote.Port() == 0 {
		return net.ErrClosed // there is no address to open another to
	}
	l := s.listenerOf(to.Proto, to.Local, to.Remote.Addr())
	if l == nil {
		return ErrNoListener
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &conn{s: s, flow: Flow{Proto: to.Proto, Domain: to.Domain, Remote: to.Remote}, named: to.Domain != 0, cancel: cancel, writing: true}
	if err := c.push(p.Data, p.Ref); err != nil { // Before it dials: who dials reports why it failed.
		cancel()
		return err
	}
	used, err := s.table.dial(c, func() {
		s.wg.Go(func() {
			defer cancel()
			s.open(ctx, c, l.sourceFor(&to))
		})
	})
	if used == c {
		return nil
	}
	cancel()
	c.wait(-c.bytes) // Nobody has it.
	if err != nil {
		return err
	}
	return used.write(p.Data, p.Ref)
}

// sourceFor returns the address a connection to to is opened from: what Source says, or the one the flow had. The port is
// left to the system. Invalid: the system chooses, as Source does.
func (l *listener) sourceFor(to *Flow) netip.Addr {
	if !l.wild {
		return l.Addr.Addr()
	}
	if a := to.Local.Addr().Unmap(); a.IsValid() && !a.IsUnspecified() && a.Is4() == l.is4() {
		return a
	}
	return netip.Addr{}
}

// open is the goroutine of a connection that is dialled.
func (s *Sockets) open(ctx context.Context, c *conn, local netip.Addr) {
	nc, err := s.connect(ctx, c.flow.Remote, local)
	s.table.dialled(c)
	if err == nil {
		err = s.serveConn(c, nc, false)
	} else {
		s.log.Debug("connect", "dst", c.flow.Remote, "err", err)
	}
	c.finish(err, nc != nil)
}

// connect waits for its turn and dials. Both waits have the connect limit.
func (s *Sockets) connect(ctx context.Context, remote netip.AddrPort, local netip.Addr) (*net.TCPConn, error) {
	turn, cancel := context.WithTimeout(ctx, s.limits.dial)
	defer cancel()
	select {
	case s.table.dials <- struct{}{}:
		defer func() { <-s.table.dials }()
	case <-turn.Done():
		return nil, fmt.Errorf("connect to %s: %w", remote, ErrTooMany)
	}
	d := net.Dialer{Timeout: s.limits.dial}
	if local.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(local, 0))
	}
	nc, err := d.DialContext(ctx, "tcp", remote.String())
	if err != nil {
		return nil, err // names the address
	}
	return nc.(*net.TCPConn), nil
}

// Pauses of an accept loop whose accepts fail, for want of descriptors mostly.
const (
	acceptPauseMin = 5 * time.Millisecond
	acceptPauseMax = time.Second
)

// accept takes connections of one listener.
func (s *Sockets) accept(ctx context.Context, l *listener) {
	pause := acceptPauseMin
	for {
		nc, err := l.tcp.AcceptTCP()
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if more, ok := s.readErrs.allow(time.Now()); ok {
				s.log.Warn("accepting connections", "listener", l.String(), "err", err, "suppressed", more)
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
			pause = min(2*pause, acceptPauseMax)
			continue
		}
		pause = acceptPauseMin
		c := &conn{s: s, flow: Flow{Proto: l.Proto, Remote: addrPort(nc.RemoteAddr())}, writing: true}
		err = s.table.accepted(c, func() {
			s.wg.Go(func() { c.finish(s.serveConn(c, nc, true), true) })
		})
		if err != nil {
			nc.Close()
			if more, ok := s.refused.allow(time.Now()); ok {
				s.log.Info("connection refused", "src", c.flow.Remote, "err", err, "suppressed", more)
			}
		}
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	ap := a.(*net.TCPAddr).AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// serveConn reads messages from nc until it ends, and returns why.
func (s *Sockets) serveConn(c *conn, nc *net.TCPConn, accepted bool) error {
	tcpOptions(nc)
	c.flow.Local = addrPort(nc.LocalAddr())
	rc, err := nc.SyscallConn()
	if err == nil {
		err = c.connected(nc, rc)
	}
	var tls *tlsConn
	if err == nil && c.flow.Proto == TLS {
		if tls, err = s.handshake(c, nc, rc, accepted); err != nil {
			s.refusedTLS(c, accepted, err)
		} else if !accepted {
			s.table.prove(c)
		}
	}
	if err == nil {
		err = c.opened(tls)
	}
	if err != nil {
		nc.Close()
		return err
	}
	err = s.readConn(c, nc, rc, accepted)
	s.log.Debug("connection ended", "src", c.flow.Remote, "err", err)
	return err
}

// refusedTLS logs a handshake that has failed. Of a next hop by name the proxy tells, with the reason: a domain whose certificate is bad must not
// hide behind strangers who knock here.
func (s *Sockets) refusedTLS(c *conn, accepted bool, err error) {
	name := ""
	if c.named {
		name = s.tls.Domains.Name(c.flow.Domain)
	}
	if _, noAddr := netip.ParseAddr(name); !accepted && name != "" && noAddr != nil {
		s.log.Debug("TLS refused", "peer", c.flow.Remote, "domain", name, "err", err)
		return
	}
	if more, ok := s.shakes.allow(time.Now()); ok {
		s.log.Info("TLS refused", "peer", c.flow.Remote, "err", err, "suppressed", more)
	}
}

// readConn reads messages from nc until it ends. accepted: a peer opened it, and his first message must arrive in time like one
// that has begun.
func (s *Sockets) readConn(c *conn, nc *net.TCPConn, rc syscall.RawConn, accepted bool) error {
	var in io.Reader = &waitReader{nc: nc, rc: rc}
	rec := &record{} // TCP has none
	if c.tls != nil {
		in, rec = c, &c.tls.below.record
	}
	st := stream{s: s, c: c, buf: make([]byte, minReadBuffer)}
	rec.message = accepted
	if err := s.await(nc, rec.message); err != nil {
		return err
	}
	for {
		n, err := in.Read(st.buf[st.used:])
		if n > 0 {
			c.touch()
			st.used += n
			took, err := st.take()
			if err != nil {
				return err
			}
			rest := st.used > 0
			switch {
			case rest && !took && (rec.message || rec.timed): // Its time runs: it has begun earlier, or its record has.
			case rest || rec.message || rec.timed: // A message that goes on where the last one ended has its time from here.
				err = s.await(nc, rest)
			}
			rec.message, rec.timed = rest, false
			if err != nil {
				return err
			}
			continue
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
		if rec.message || rec.begun() {
			return errPartial
		}
		rec.timed = false
		left := s.limits.idle - (time.Since(epoch) - time.Duration(c.lastUse.Load()))
		switch {
		case c.keep.Load():
			left = s.limits.idle
		case left <= 0:
			return errIdle
		}
		if err := nc.SetReadDeadline(time.Now().Add(left)); err != nil {
			return err
		}
	}
}

// await sets how long nothing may come: the time of a message that has begun, or that of an idle connection.
func (s *Sockets) await(nc *net.TCPConn, message bool) error {
	wait := s.limits.idle
	if message {
		wait = s.limits.partial
	}
	return nc.SetReadDeadline(time.Now().Add(wait))
}

// Why a connection was closed here.
var (
	errPartial   = errors.New("transport: a message did not arrive in time")
	errIdle      = errors.New("transport: idle")
	errTooLong   = errors.New("transport: message too long")
	errForgotten = errors.New("transport: too many domains since this one was asked for") // see Domains
)

// stream is the bytes of a connection that are not yet a message.
type stream struct {
	s     *Sockets
	c     *conn
	buf   []byte
	used  int
	crlfs int // CRLFs since the last message
}

var crlf = []byte("\r\n")

// take hands over the messages that are complete and answers keepalives. What remains moves to the front; it is at most
// message.MaxMessage bytes.
func (st *stream) take() (took bool, err error) {
	in := st.buf[:st.used]
	var out *Out
	pong := false
	for len(in) > 0 {
		if in[0] == '\r' {
			if len(in) == 1 {
				break
			}
			if in[1] == '\n' {
				// RFC 5626 3.5.1: two CRLFs between messages are a ping; 4.4.1: one CRLF is the pong. Several pings at once
				// get one.
				if st.crlfs++; st.crlfs%2 == 0 {
					pong = true
				}
				in = in[2:]
				continue
			}
		}
		var skip, n int
		if skip, n, err = message.Frame(in); err != nil || n == 0 {
			break
		}
		st.crlfs = 0
		if out == nil {
			out = st.s.pool.Get().(*Out)
		}
		took = true
		st.s.receive(out, st.c.flow, in[skip:skip+n:skip+n])
		in = in[skip+n:]
	}
	if out != nil {
		out.Flush()
		st.s.pool.Put(out)
	}
	if err != nil {
		return took, err
	}
	if pong {
		_ = st.c.write(crlf, 0) // whoever does not read needs no pong
	}
	return took, st.makeRoom(in)
}

// makeRoom moves rest to the front and sees that more can be read.
func (st *stream) makeRoom(rest []byte) error {
	switch {
	case len(rest) >= message.MaxMessage:
		return errTooLong
	case len(rest) == len(st.buf):
		st.buf = append(make([]byte, 0, min(2*len(rest), message.MaxMessage)), rest...)
		st.buf = st.buf[:cap(st.buf)]
	case len(rest) == 0 && len(st.buf) > 4*minReadBuffer:
		st.buf = make([]byte, minReadBuffer)
	default:
		copy(st.buf, rest)
	}
	st.used = len(rest)
	return nil
}
