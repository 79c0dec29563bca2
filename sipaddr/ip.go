package sipaddr

import "net/netip"

// ParseIP reads an IPv4 or IPv6 address without brackets. Unlike netip.ParseAddr it does not allocate, knows no zones,
// and takes three colons for two, which the grammar of RFC 3261 allows by mistake (RFC 5118 4.10).
func ParseIP(host []byte) (netip.Addr, bool) {
	for _, c := range host {
		if c == ':' {
			return parseIPv6(host)
		}
	}
	v4, ok := parseIPv4(host)
	return netip.AddrFrom4(v4), ok
}

func parseIPv4(b []byte) (a [4]byte, ok bool) {
	i := 0
	for n := range 4 {
		if n > 0 {
			if i == len(b) || b[i] != '.' {
				return a, false
			}
			i++
		}
		v, start := 0, i
		for ; i < len(b) && i < start+3 && b[i]-'0' <= 9; i++ {
			v = v*10 + int(b[i]-'0')
		}
		// A leading zero would be octal to some readers.
		if i == start || v > 255 || b[start] == '0' && i > start+1 {
			return a, false
		}
		a[n] = byte(v)
	}
	return a, i == len(b)
}

func parseIPv6(b []byte) (netip.Addr, bool) {
	var a [16]byte
	n, gap := 0, -1 // bytes of a filled; where "::" stands
	i := 0
	if len(b) >= 2 && b[0] == ':' && b[1] != ':' {
		return netip.Addr{}, false
	}
	for i < len(b) {
		if b[i] == ':' {
			switch {
			case i+1 < len(b) && b[i+1] == ':':
				if gap >= 0 {
					return netip.Addr{}, false
				}
				gap = n
				i += 2
				if i < len(b) && b[i] == ':' {
					i++ // RFC 5118 4.10: the extra colon is ignored.
				}
				if i == len(b) {
					continue
				}
			case n > 0:
				i++
			}
		}
		if n == 16 {
			return netip.Addr{}, false
		}
		v, start := 0, i
		for ; i < len(b) && i < start+4 && class[b[i]]&cHex != 0; i++ {
			v = v<<4 | int(unhex(b[i]))
		}
		if i == start {
			return netip.Addr{}, false
		}
		if i < len(b) && b[i] == '.' {
			v4, ok := parseIPv4(b[start:])
			if !ok || n > 12 {
				return netip.Addr{}, false
			}
			copy(a[n:], v4[:])
			n += 4
			break
		}
		if i < len(b) && b[i] != ':' {
			return netip.Addr{}, false
		}
		a[n], a[n+1] = byte(v>>8), byte(v)
		n += 2
	}
	switch {
	case gap < 0:
		return netip.AddrFrom16(a), n == 16
	case n > 14: // "::" stands for at least one group
		return netip.Addr{}, false
	}
	tail := n - gap
	copy(a[16-tail:], a[gap:n])
	clear(a[gap : 16-tail])
	return netip.AddrFrom16(a), true
}
