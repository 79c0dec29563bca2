package location

import (
	"encoding/binary"
	"net/netip"

	"sipd/sipaddr"
)

// An address-of-record and its bindings lie in memory as bytes, because a million bindings made of structs and strings would take
// twice the room and would have to be scanned at every collection: the AOR, the number of bindings, and each of them as appendBinding
// writes it. Lengths and ids are varints.

const flagByFlow = 1 // the only flag

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

func appendAddr(dst []byte, a netip.AddrPort) []byte {
	at := len(dst)
	dst = append(dst, 0)
	dst, _ = a.AppendBinary(dst) // It never fails; an address with a zone longer than an interface's name is nobody's.
	if n := len(dst) - at - 1; n <= 255 {
		dst[at] = byte(n)
		return dst
	}
	dst = dst[:at]
	return appendAddr(dst, netip.AddrPort{})
}

func appendEntry(dst []byte, aor sipaddr.AOR, list []*Binding) []byte {
	dst = appendText(dst, string(aor))
	dst = binary.AppendUvarint(dst, uint64(len(list)))
	for _, b := range list {
		dst = appendBinding(dst, b)
	}
	return dst
}

func appendBinding(dst []byte, b *Binding) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Expires))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(b.Updated))
	dst = binary.LittleEndian.AppendUint32(dst, b.CSeq)
	flags := byte(0)
	if b.ByFlow {
		flags = flagByFlow
	}
	dst = append(dst, b.Action, b.Proto, b.NextProto, flags)
	dst = binary.AppendVarint(dst, b.UserID)
	dst = binary.AppendVarint(dst, b.ID)
	dst = binary.AppendVarint(dst, int64(b.Q))
	dst = binary.AppendVarint(dst, int64(b.RegID))
	dst = binary.AppendUvarint(dst, b.Conn)
	for _, a := range [...]netip.AddrPort{b.Source, b.Local, b.Next} {
		dst = appendAddr(dst, a)
	}
	// All lengths before the texts: who reads a binding does not touch what he has no use for.
	texts := [...]string{b.URI, b.DisplayName, b.CallID, b.InstanceID, b.UserAgent, b.Methods}
	for _, s := range texts {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
	}
	dst = binary.AppendUvarint(dst, uint64(len(b.Path)))
	for _, s := range b.Path {
		dst = binary.AppendUvarint(dst, uint64(len(s)))
	}
	for _, s := range texts {
		dst = append(dst, s...)
	}
	for _, s := range b.Path {
		dst = append(dst, s...)
	}
	return dst
}

// unpacker reads what the functions above wrote; its texts share the bytes.
type unpacker string

func (u *unpacker) bytes(n int) string {
	s := string((*u)[:n])
	*u = (*u)[n:]
	return s
}

func (u *unpacker) uvarint() uint64 {
	s := string(*u)
	var v uint64
	for i := 0; ; i++ {
		v |= uint64(s[i]&0x7f) << (7 * i)
		if s[i] < 0x80 {
			*u = (*u)[i+1:]
			return v
		}
	}
}

func (u *unpacker) varint() int64 {
	v := u.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (u *unpacker) text() string { return u.bytes(int(u.uvarint())) }

func (u *unpacker) uint32() uint32 {
	s := u.bytes(4)
	return uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24
}

func (u *unpacker) uint64() uint64 { return uint64(u.uint32()) | uint64(u.uint32())<<32 }

func (u *unpacker) addr() netip.AddrPort {
	s := u.bytes(int(u.bytes(1)[0]))
	var ip [16]byte
	n := len(s) - 2
	switch n {
	case 0:
		return netip.AddrPort{}
	case 4, 16:
		copy(ip[:], s)
		port := uint16(s[n]) | uint16(s[n+1])<<8
		if n == 4 {
			return netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[:4])), port)
		}
		return netip.AddrPortFrom(netip.AddrFrom16(ip), port)
	}
	var a netip.AddrPort
	_ = a.UnmarshalBinary([]byte(s)) // With a zone; it is what AppendBinary wrote.
	return a
}

func (u *unpacker) binding(b *Binding) {
	b.Expires, b.Updated, b.CSeq = Time(u.uint64()), Time(u.uint64()), u.uint32()
	small := u.bytes(4)
	b.Action, b.Proto, b.NextProto, b.ByFlow = small[0], small[1], small[2], small[3] == flagByFlow
	b.UserID, b.ID, b.Q, b.RegID, b.Conn = u.varint(), u.varint(), int(u.varint()), int(u.varint()), u.uvarint()
	b.Source, b.Local, b.Next = u.addr(), u.addr(), u.addr()
	var n [6]int
	for i := range n {
		n[i] = int(u.uvarint())
	}
	b.Path = nil
	path := unpacker("") // at its lengths
	hops := u.uvarint()
	if hops > 0 {
		path = *u
		for range hops {
			u.uvarint()
		}
	}
	b.URI, b.DisplayName, b.CallID, b.InstanceID, b.UserAgent, b.Methods =
		u.bytes(n[0]), u.bytes(n[1]), u.bytes(n[2]), u.bytes(n[3]), u.bytes(n[4]), u.bytes(n[5])
	if hops > 0 {
		b.Path = make([]string, hops)
		for i := range b.Path {
			b.Path[i] = u.bytes(int(path.uvarint()))
		}
	}
}

// bindings reads all bindings of an entry, of which the AOR has been read.
func (u *unpacker) bindings() []*Binding {
	n := u.uvarint()
	if n == 1 { // Most have one contact: one piece of memory.
		one := &struct {
			list [1]*Binding
			b    Binding
		}{}
		u.binding(&one.b)
		one.list[0] = &one.b
		return one.list[:]
	}
	all, list := make([]Binding, n), make([]*Binding, n)
	for i := range all {
		u.binding(&all[i])
		list[i] = &all[i]
	}
	return list
}
