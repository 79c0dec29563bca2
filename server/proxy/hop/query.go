package hop

import (
	"sipd/resolve"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// Named is Query for a URI whose host is a name; ok is false for others.
func Named(u *sipaddr.URI) (q resolve.Query, ok bool) {
	if _, numeric := sipaddr.ParseIP(routeHost(u)); numeric {
		return q, false
	}
	return Query(u)
}

// routeHost is TARGET of RFC 3263 4.
func routeHost(u *sipaddr.URI) []byte {
	if maddr, has := u.Maddr(); has {
		return maddr
	}
	return u.Host
}

// Query reads what RFC 3263 4 needs out of a URI; ok is false for other schemes, unknown transports, and what is no host.
func Query(u *sipaddr.URI) (q resolve.Query, ok bool) {
	if u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		return q, false
	}
	host := routeHost(u)
	q = resolve.Query{Port: u.Port, Secure: u.Scheme == sipaddr.SIPS}
	if addr, numeric := sipaddr.ParseIP(host); numeric {
		q.Host = addr.String()
	} else if len(host) == 0 || host[0] == '[' {
		return q, false
	} else {
		q.Host = lowerName(host)
	}
	if name, has := u.Param("transport"); has {
		proto, known := transport.ParseProto(name)
		switch {
		case known && proto == transport.UDP:
			q.Transport = resolve.UDP
		case known && proto == transport.TCP && q.Secure: // sips over TCP is TLS (26.2.2)
			q.Transport = resolve.TLS
		case known && proto == transport.TCP:
			q.Transport = resolve.TCP
		case known && proto == transport.TLS:
			q.Transport = resolve.TLS
		default:
			return q, false
		}
	}
	return q, true
}

// lowerName is a host name as it is asked for: lower case, no dot at the end.
func lowerName(host []byte) string {
	if host[len(host)-1] == '.' {
		host = host[:len(host)-1]
	}
	name := make([]byte, len(host))
	for i, c := range host {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		name[i] = c
	}
	return string(name)
}
