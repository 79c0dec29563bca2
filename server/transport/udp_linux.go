package transport

import (
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rawUDP: here workers read with recvmmsg and write with sendmmsg, called without telling the scheduler. Both are
// non-blocking, so that nothing is lost by that, and a relayed packet costs about a third of package net's calls
// (docs/performance.md).
const rawUDP = true

const (
	// recvSlots datagrams are read at once; more bring nothing, and answers wait for the batch.
	recvSlots = 32
	// sendSlots datagrams are sent at once: a batch forked to two.
	sendSlots = 64
	// slotSize keeps slots from starting at the same offset of a page, where they would compete for the same cache lines.
	slotSize = maxDatagram + 1 + 17*64
	// sendWait is how long a full send buffer may stay full, in milliseconds. Then the datagram is lost, as in the network.
	sendWait = 50
	// sendTries bounds the rounds of waiting for one datagram.
	sendTries = 4
)

// mmsghdr is struct mmsghdr of recvmmsg(2).
type mmsghdr struct {
	hdr unix.Msghdr
	n   uint32
}

// sockaddr has room for a struct sockaddr_in or sockaddr_in6.
type sockaddr = unix.RawSockaddrInet6

// recvBatch is where the kernel puts datagrams. Slots are 64 KiB each, but memory that no datagram reached is never
// touched, and so costs nothing.
type recvBatch struct {
	msgs  [recvSlots]mmsghdr
	iovs  [recvSlots]unix.Iovec
	names [recvSlots]sockaddr
	ctrl  [recvSlots]controlBuf
	data  []byte
	wild  bool
	zones zones
}

func newRecvBatch(wild bool) *recvBatch {
	b := &recvBatch{data: make([]byte, recvSlots*slotSize), wild: wild}
	for i := range b.msgs {
		b.iovs[i].Base = &b.data[i*slotSize]
		b.iovs[i].SetLen(maxDatagram)
		h := &b.msgs[i].hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
		b.arm(i)
	}
	return b
}

// arm makes message i ready for the kernel again.
func (b *recvBatch) arm(i int) {
	h := &b.msgs[i].hdr
	h.Namelen = uint32(unsafe.Sizeof(b.names[i]))
	if b.wild {
		h.Control = &b.ctrl[i].b[0]
		h.SetControllen(controlSize)
	}
}

// one asks the kernel for the datagram that woke us. Most come alone, and recvfrom is cheaper for one than recvmmsg, which looks
// for a second; it tells no own address, so a socket for all addresses has to ask in batches.
func (b *recvBatch) one(fd uintptr) (n int, errno syscall.Errno) {
	if b.wild {
		return b.read(fd)
	}
	h := &b.msgs[0].hdr
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(b.iovs[0].Base)), maxDatagram, unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(h.Name)), uintptr(unsafe.Pointer(&h.Namelen)))
		switch errno {
		case 0:
			b.msgs[0].n = uint32(r)
			return 1, 0
		case unix.EINTR:
		default:
			return 0, errno
		}
	}
}

// read asks the kernel for what has come: n datagrams, or why there are none.
func (b *recvBatch) read(fd uintptr) (n int, errno syscall.Errno) {
	for {
		r, _, errno := unix.RawSyscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[0])), recvSlots, unix.MSG_DONTWAIT, 0, 0)
		if errno != unix.EINTR {
			return int(r), errno
		}
	}
}

// remote decodes the sender's address of message i.
func (b *recvBatch) remote(i int) netip.AddrPort {
	name := &b.names[i]
	switch name.Family {
	case unix.AF_INET:
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		return netip.AddrPortFrom(netip.AddrFrom4(in4.Addr), ntohs(in4.Port))
	case unix.AF_INET6:
		a := netip.AddrFrom16(name.Addr).Unmap()
		if name.Scope_id != 0 && a.IsLinkLocalUnicast() {
			a = a.WithZone(b.zones.name(name.Scope_id))
		}
		return netip.AddrPortFrom(a, ntohs(name.Port))
	}
	return netip.AddrPort{}
}

// control returns the control message of message i.
func (b *recvBatch) control(i int) []byte {
	if !b.wild {
		return nil
	}
	return b.ctrl[i].b[:b.msgs[i].hdr.Controllen]
}

// rawWorker reads batches from one socket, runs each datagram to completion and sends what that queued.
type rawWorker struct {
	s     *Sockets
	u     *udpSocket
	out   *Out
	batch *recvBatch
	errno syscall.Errno // why read gave up
}

// serveRaw is a worker's goroutine.
func (s *Sockets) serveRaw(u *udpSocket, lane int) {
	w := &rawWorker{s: s, u: u, out: s.newOut(lane), batch: newRecvBatch(u.l.wild)}
	read := w.read // one closure for all reads
	for {
		err := u.rc.Read(read)
		if err == nil {
			err = w.errno
		}
		if !s.readFailed(u, err) {
			return
		}
	}
}

// read is the callback of RawConn.Read; false parks the goroutine until there is something to read. The queue is known to be
// empty when a batch was not full, or when a look at it finds nothing: what comes later is announced again.
func (w *rawWorker) read(fd uintptr) bool {
	n, errno := w.batch.one(fd)
	for full := !w.batch.wild || n == recvSlots; ; full = n == recvSlots {
		switch errno {
		case 0:
			w.handle(n)
			if !full {
				return false
			}
		case unix.EAGAIN:
			return false
		default:
			w.errno = errno
			return true
		}
		n, errno = w.batch.read(fd)
	}
}

// handle runs n datagrams to completion.
func (w *rawWorker) handle(n int) {
	b := w.batch
	for i := range n {
		raw := b.data[i*slotSize:][:b.msgs[i].n:maxDatagram]
		if !keepalive(raw) {
			remote := b.remote(i)
			w.s.receive(w.out, Flow{Proto: UDP, Local: w.s.localOf(w.u, b.control(i), remote), Remote: remote}, raw)
		}
		b.arm(i)
	}
	w.out.Flush()
}

// sendBatch is what the kernel sends from; it is made at the first use.
type sendBatch struct{ *sendMessages }

type sendMessages struct {
	msgs  [sendSlots]mmsghdr
	iovs  [sendSlots]unix.Iovec
	names [sendSlots]sockaddr
	ctrl  [sendSlots]controlBuf

	first, count int           // what to send
	sent         int           // result: how many were sent
	errno        syscall.Errno // or why the first was not
	call         func(fd uintptr)
}

func newSendMessages() *sendMessages {
	b := &sendMessages{}
	for i := range b.msgs {
		h := &b.msgs[i].hdr
		h.Iov = &b.iovs[i]
		h.SetIovlen(1)
		h.Name = (*byte)(unsafe.Pointer(&b.names[i]))
	}
	b.call = b.send
	return b
}

// send is the callback of RawConn.Control. sendmmsg returns an error only for the first message it was given.
func (b *sendMessages) send(fd uintptr) {
	for tries := 0; ; tries++ {
		n, errno := b.try(fd)
		switch errno {
		case 0:
			b.sent, b.errno = n, 0
			return
		case unix.EINTR:
			continue
		case unix.EAGAIN:
			// The kernel's buffer is full: rare, and other goroutines may run meanwhile.
			p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLOUT}}
			if tries < sendTries {
				if ready, err := unix.Poll(p, sendWait); err == unix.EINTR || ready > 0 {
					continue
				}
			}
		}
		b.sent, b.errno = 0, errno
		return
	}
}

// try gives the kernel what there is to send, once. A message alone, which most are, goes by sendto: sendmmsg would copy two
// structs and a vector for it, a quarter of a microsecond.
func (b *sendMessages) try(fd uintptr) (sent int, errno syscall.Errno) {
	if h := &b.msgs[b.first].hdr; b.count == 1 && h.Control == nil {
		iov := &b.iovs[b.first]
		_, _, errno = unix.RawSyscall6(unix.SYS_SENDTO, fd, uintptr(unsafe.Pointer(iov.Base)), uintptr(iov.Len), unix.MSG_DONTWAIT, uintptr(unsafe.Pointer(h.Name)), uintptr(h.Namelen))
		return 1, errno
	}
	n, _, errno := unix.RawSyscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&b.msgs[b.first])), uintptr(b.count), unix.MSG_DONTWAIT, 0, 0)
	return int(n), errno
}

// sendRaw sends packets from u. A packet that the kernel refuses fails alone.
func (sd *sender) sendRaw(o *Out, u *udpSocket, packets []Packet) {
	if sd.batch.sendMessages == nil {
		sd.batch.sendMessages = newSendMessages()
	}
	b := sd.batch.sendMessages
	for len(packets) > 0 {
		n := min(len(packets), sendSlots)
		for i := range n {
			b.put(i, &packets[i], u.l.wild)
		}
		for b.first = 0; b.first < n; {
			b.count = n - b.first
			if err := u.rc.Control(b.call); err != nil {
				for i := range packets[b.first:n] {
					sd.s.fail(o, packets[b.first+i].Ref, err)
				}
				break
			}
			switch b.errno {
			case 0:
				b.first += max(b.sent, 1)
				continue
			case unix.EAGAIN, unix.ENOBUFS:
				// Congestion: lost like a datagram in the network; retransmissions make up for it (17.1).
				sd.s.dropped.Add(1)
			default:
				sd.s.fail(o, packets[b.first].Ref, b.errno)
			}
			b.first++
		}
		packets = packets[n:]
	}
	for i := range b.iovs {
		if b.iovs[i].Base == nil {
			break
		}
		b.iovs[i].Base = nil // the arena may be given back
	}
}

// put makes p the i-th message.
func (b *sendMessages) put(i int, p *Packet, wild bool) {
	h := &b.msgs[i].hdr
	b.iovs[i].Base = unsafe.SliceData(p.Data)
	b.iovs[i].SetLen(len(p.Data))
	remote := p.To.Remote.Addr()
	name := &b.names[i]
	if is4(remote) {
		in4 := (*unix.RawSockaddrInet4)(unsafe.Pointer(name))
		*in4 = unix.RawSockaddrInet4{Family: unix.AF_INET, Port: ntohs(p.To.Remote.Port()), Addr: remote.As4()}
		h.Namelen = unix.SizeofSockaddrInet4
	} else {
		*name = sockaddr{Family: unix.AF_INET6, Port: ntohs(p.To.Remote.Port()), Addr: remote.As16(), Scope_id: zoneIndex(remote)}
		h.Namelen = unix.SizeofSockaddrInet6
	}
	h.Control = nil
	h.SetControllen(0)
	if wild {
		if c := appendPacketInfo(b.ctrl[i].b[:0], p.To.Local.Addr(), remote); len(c) > 0 {
			h.Control = &b.ctrl[i].b[0]
			h.SetControllen(len(c))
		}
	}
}

// ntohs turns a port from network to host byte order, or back.
func ntohs(p uint16) uint16 {
	b := (*[2]byte)(unsafe.Pointer(&p))
	return uint16(b[0])<<8 | uint16(b[1])
}

// packetInfo reads the own address from the control message of a datagram.
func packetInfo(oob []byte) netip.Addr {
	const head = unix.SizeofCmsghdr
	if len(oob) < head {
		return netip.Addr{}
	}
	h := (*unix.Cmsghdr)(unsafe.Pointer(&oob[0]))
	switch {
	case h.Level == unix.IPPROTO_IP && h.Type == unix.IP_PKTINFO && len(oob) >= head+unix.SizeofInet4Pktinfo:
		// spec_dst is an address of ours even when the datagram came by multicast or broadcast.
		return netip.AddrFrom4((*unix.Inet4Pktinfo)(unsafe.Pointer(&oob[head])).Spec_dst)
	case h.Level == unix.IPPROTO_IPV6 && h.Type == unix.IPV6_PKTINFO && len(oob) >= head+unix.SizeofInet6Pktinfo:
		info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&oob[head]))
		if a := netip.AddrFrom16(info.Addr); !a.IsMulticast() {
			return a
		}
	}
	return netip.Addr{}
}

// appendPacketInfo appends the control message that makes a datagram leave from local; nothing when local names no single
// address. b must have room for controlSize bytes. The interface stays 0, the routing table chooses it, unless remote
// is link-local.
func appendPacketInfo(b []byte, local, remote netip.Addr) []byte {
	const head = unix.SizeofCmsghdr
	local = local.Unmap()
	if !local.IsValid() || local.IsUnspecified() || local.Is4() != is4(remote) {
		return b
	}
	b = b[:controlSize]
	h := (*unix.Cmsghdr)(unsafe.Pointer(&b[0]))
	if local.Is4() {
		h.Level, h.Type = unix.IPPROTO_IP, unix.IP_PKTINFO
		h.SetLen(unix.CmsgLen(unix.SizeofInet4Pktinfo))
		*(*unix.Inet4Pktinfo)(unsafe.Pointer(&b[head])) = unix.Inet4Pktinfo{Spec_dst: local.As4()}
		return b[:unix.CmsgSpace(unix.SizeofInet4Pktinfo)]
	}
	h.Level, h.Type = unix.IPPROTO_IPV6, unix.IPV6_PKTINFO
	h.SetLen(unix.CmsgLen(unix.SizeofInet6Pktinfo))
	*(*unix.Inet6Pktinfo)(unsafe.Pointer(&b[head])) = unix.Inet6Pktinfo{Addr: local.As16(), Ifindex: zoneIndex(remote)}
	return b[:unix.CmsgSpace(unix.SizeofInet6Pktinfo)]
}

// zones names interfaces for the zone of link-local peers; one worker's own.
type zones struct{ names map[uint32]string }

// maxZones bounds the names kept; machines have fewer interfaces.
const maxZones = 256

func (z *zones) name(index uint32) string {
	if name, ok := z.names[index]; ok {
		return name
	}
	name := strconv.FormatUint(uint64(index), 10)
	if i, err := net.InterfaceByIndex(int(index)); err == nil {
		name = i.Name
	}
	if z.names == nil || len(z.names) >= maxZones {
		z.names = make(map[uint32]string)
	}
	z.names[index] = name
	return name
}

// zoneIndex returns the interface of a link-local address, 0 for others.
func zoneIndex(a netip.Addr) uint32 {
	zone := a.Zone()
	if zone == "" {
		return 0
	}
	if i, err := net.InterfaceByName(zone); err == nil {
		return uint32(i.Index)
	}
	n, _ := strconv.ParseUint(zone, 10, 32)
	return uint32(n)
}
