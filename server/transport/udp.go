package transport

import (
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// udpSocket is one worker's socket.
type udpSocket struct {
	l    *listener
	conn *net.UDPConn
	rc   syscall.RawConn
	raw  bool // served by recvmmsg and sendmmsg
}

const (
	// maxDatagram is the largest UDP payload there is, rounded up: nothing is ever cut off.
	maxDatagram = 65535
	// controlSize holds one IP_PKTINFO or IPV6_PKTINFO control message.
	controlSize = 64
	// readErrorPause keeps a socket whose reads fail from taking a processor.
	readErrorPause = 10 * time.Millisecond
)

// controlBuf is room for a control message, aligned as the kernel's structures are.
type controlBuf struct {
	_ [0]uint64
	b [controlSize]byte
}

func (s *Sockets) serveUDP(u *udpSocket, lane int) {
	if u.raw {
		s.serveRaw(u, lane)
	} else {
		s.servePortable(u, lane)
	}
}

// servePortable reads datagrams with package net alone.
func (s *Sockets) servePortable(u *udpSocket, lane int) {
	out := s.newOut(lane)
	buf := make([]byte, maxDatagram)
	var oob controlBuf
	for {
		n, oobn, _, remote, err := u.conn.ReadMsgUDPAddrPort(buf, oob.b[:])
		if err != nil {
			if !s.readFailed(u, err) {
				return
			}
			continue
		}
		if !keepalive(buf[:n]) {
			remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
			s.receive(out, Flow{Proto: UDP, Local: s.localOf(u, oob.b[:oobn], remote), Remote: remote}, buf[:n])
			out.Flush()
		}
	}
}

// localOf returns the own address that a datagram came to.
func (s *Sockets) localOf(u *udpSocket, oob []byte, remote netip.AddrPort) netip.AddrPort {
	if !u.l.wild {
		return u.l.Addr
	}
	if a := packetInfo(oob); a.IsValid() {
		return netip.AddrPortFrom(a, u.l.Addr.Port())
	}
	return s.route(UDP, remote.Addr()).source
}

// readFailed tells whether to read on after err.
func (s *Sockets) readFailed(u *udpSocket, err error) bool {
	if errors.Is(err, net.ErrClosed) {
		return false
	}
	if more, ok := s.readErrs.allow(time.Now()); ok {
		s.log.Warn("reading datagrams", "listener", u.l.String(), "err", err, "suppressed", more)
	}
	time.Sleep(readErrorPause)
	return true
}

// sendPortable sends datagrams with package net alone.
func (sd *sender) sendPortable(o *Out, u *udpSocket, packets []Packet) {
	var buf controlBuf
	for i := range packets {
		p := &packets[i]
		var oob []byte
		if u.l.wild {
			oob = appendPacketInfo(buf.b[:0], p.To.Local.Addr(), p.To.Remote.Addr())
		}
		remote := netip.AddrPortFrom(p.To.Remote.Addr().Unmap(), p.To.Remote.Port())
		if _, _, err := u.conn.WriteMsgUDPAddrPort(p.Data, oob, remote); err != nil {
			sd.s.fail(o, p.Ref, err)
		}
	}
}

// keepalive tells whether a datagram is none for the Receiver: white space and NULs, with which phones keep a NAT's mapping
// open (BEHAVIOUR J), or STUN (RFC 7983 7: first byte 0 to 3), which is not answered.
func keepalive(b []byte) bool {
	if len(b) == 0 || b[0] <= 3 {
		return true
	}
	for _, c := range b {
		if c != '\r' && c != '\n' && c != 0 && c != ' ' && c != '\t' {
			return false
		}
	}
	return true
}
