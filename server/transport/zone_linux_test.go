package transport

import (
	"net"
	"net/netip"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A link-local peer is named with its interface, and an answer to it goes out there.
func TestLinkLocal(t *testing.T) {
	ifaces, err := net.Interfaces()
	if err != nil || len(ifaces) == 0 {
		t.Skipf("this machine shows no interfaces: %v", err)
	}
	i := ifaces[0]
	b := newRecvBatch(true)
	addr := netip.MustParseAddr("fe80::7").As16()
	b.names[0] = sockaddr{Family: unix.AF_INET6, Port: ntohs(5060), Addr: addr, Scope_id: uint32(i.Index)}
	want := netip.AddrPortFrom(netip.AddrFrom16(addr).WithZone(i.Name), 5060)
	for range 2 { // looked up, and remembered
		if got := b.remote(0); got != want {
			t.Errorf("got %v, want %v", got, want)
		}
	}
	m := newSendMessages()
	m.put(0, &Packet{To: Flow{Local: netip.MustParseAddrPort("[fe80::1]:5060"), Remote: want}, Data: []byte("x")}, true)
	if got := m.names[0].Scope_id; got != uint32(i.Index) {
		t.Errorf("got interface %d in the address, want %d", got, i.Index)
	}
	info := (*unix.Inet6Pktinfo)(unsafe.Pointer(&m.ctrl[0].b[unix.SizeofCmsghdr]))
	if info.Ifindex != uint32(i.Index) || netip.AddrFrom16(info.Addr) != netip.MustParseAddr("fe80::1") {
		t.Errorf("got packet info %+v, want interface %d", info, i.Index)
	}
	if got := zoneIndex(netip.MustParseAddr("fe80::1%4242")); got != 4242 {
		t.Errorf("got interface %d for a numeric zone, want 4242", got)
	}
	if got := packetInfo([]byte("short")); got.IsValid() {
		t.Errorf("got %v from a truncated control message", got)
	}
}
