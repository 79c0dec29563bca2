package proxy

import (
	"net/netip"

	"sipd/server/proxy/hop"
	"sipd/server/target"
	"sipd/server/transport"
	"sipd/sipaddr"
)

// nextHop finds where a copy goes (16.6 step 7). alt is a second way, to try in a new client transaction when the first fails.
// src is who asks. When the Request-URI is a sips URI nothing but TLS will do, whatever URI or flow the copy goes by.
func (p *Proxy) nextHop(r *Route, t target.Target, src netip.Addr) (flow, alt transport.Flow, ok bool) {
	flow, alt, ok = p.hop(r, t, src)
	if wantsTLS(r, t) {
		if !secure(alt.Proto) {
			alt = transport.Flow{}
		}
		ok = ok && secure(flow.Proto)
	}
	if p.gateway != nil {
		if alt.Remote.IsValid() && p.fenced(r, &t, alt) {
			alt = transport.Flow{}
		}
		ok = ok && !p.fenced(r, &t, flow)
	}
	return flow, alt, ok
}

// fenced tells whether a copy must not go by flow: it leads to a gateway, which trusts us to have asked for the class of who calls. Nobody is
// led there but by the tables of the administrator; in a dialog that one of them is an end of; by an ACK or BYE in any dialog of ours;
// and over a connection that came from there. A datagram proves nothing of where it came from, so that a telephone that has registered
// from a gateway's address over UDP is reached at other ports than the gateway's alone.
func (p *Proxy) fenced(r *Route, t *target.Target, flow transport.Flow) bool {
	if p.gateway == nil || t.Rule != 0 || r.InDialog && (r.gateway || r.ends) {
		return false
	}
	byFlow := false
	if b := t.Binding; b != nil && !t.By.IsValid() {
		if byFlow = b.ByFlow && flow.Remote == b.Source; b.Static() || byFlow && flow.Conn != 0 {
			return false
		}
	}
	return p.gateway(flow.Remote, byFlow)
}

func secure(p transport.Proto) bool { return p == transport.TLS || p == transport.WSS }

// hop is nextHop for URIs of either scheme: the first value of what is left of Route, else the binding's flow, its numeric path or
// Contact, else in a dialog the flow of the token, else the Request-URI. A path comes ahead of the Route values.
func (p *Proxy) hop(r *Route, t target.Target, src netip.Addr) (flow, alt transport.Flow, ok bool) {
	if b := t.Binding; b != nil && !t.By.IsValid() && (!r.More || len(b.Path) > 0) {
		flow = transport.Flow{Proto: transport.Proto(b.NextProto)}
		if b.Static() || p.allowed(b.Next, b.Source.Addr()) {
			flow.Remote = b.Next
		}
		if b.ByFlow {
			if alt = flow; b.Next == b.Source || !alt.Remote.IsValid() || !p.setSource(&alt) {
				alt = transport.Flow{}
			}
			flow = transport.Flow{Proto: transport.Proto(b.Proto), Conn: transport.ConnID(b.Conn), Local: b.Local, Remote: b.Source}
		}
		return flow, alt, flow.Remote.IsValid() && p.setSource(&flow)
	}
	uri := &r.URI
	switch {
	case r.More:
		uri = &r.next.URI
	case t.By.IsValid(): // A contact of a 3xx is nobody's registered telephone.
		named, err := sipaddr.Parse([]byte(t.Binding.URI))
		if err != nil {
			return flow, alt, false
		}
		uri = &named
	}
	if flow, ok = p.numericHop(uri); r.InDialog {
		flow.Domain = 0 // A telephone that a call has led to already; it has no certificate for its address.
	}
	ok = ok && p.allowed(flow.Remote, src) && p.setSource(&flow)
	if !r.InDialog || !r.to.ByFlow || r.More {
		return flow, alt, ok
	}
	if ok && flow.Remote != r.to.Flow.Remote {
		alt = flow
	}
	flow = r.to.Flow
	return flow, alt, p.setSource(&flow)
}

// setSource fills in the own address and port a message to flow leaves from. What a binding or token remembers stands.
func (p *Proxy) setSource(flow *transport.Flow) bool {
	if flow.Local.Addr().IsValid() {
		return true
	}
	src, ok := p.net.Source(flow.Proto, flow.Remote.Addr())
	if port := flow.Local.Port(); port != 0 && ok {
		src = netip.AddrPortFrom(src.Addr(), port)
	}
	flow.Local = src
	return ok
}

// numericHop reads host, port and transport of a URI whose host is an address (RFC 3263 4.1 and 4.2 without DNS).
func (p *Proxy) numericHop(u *sipaddr.URI) (flow transport.Flow, ok bool) {
	if u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		return flow, false
	}
	addr, ok := u.Addr()
	if maddr, has := u.Maddr(); has {
		addr, ok = sipaddr.ParseIP(maddr)
	}
	if !ok {
		return flow, false
	}
	if name, has := u.Param("transport"); has {
		if flow.Proto, ok = transport.ParseProto(name); !ok || flow.Proto > transport.TLS {
			return flow, false
		}
	}
	if u.Scheme == sipaddr.SIPS { // 26.2.2: over TCP means over TLS.
		flow.Proto = transport.TLS
	}
	port := u.Port
	if port == 0 {
		port = 5060
		if flow.Proto == transport.TLS {
			port = 5061
		}
	}
	flow.Remote = netip.AddrPortFrom(addr, port)
	if flow.Proto == transport.TLS { // RFC 5922 7.3: the certificate must name the address.
		if p.domains == nil {
			return flow, false
		}
		flow.Domain, ok = p.domains.Number(addr.String())
	}
	return flow, ok
}

// allowed refuses next hops that no URI which src wrote, in a request or as Contact or Path of a REGISTER, may lead to:
// multicast, broadcast, unspecified, our own listeners, and what is out of src's own reach (BEHAVIOUR J) unless AllowedNextHops or
// LocalNets opens it.
//
// A multicast group never is a next hop: RFC 3261 18.1.1 wants us to hear the responses that are sent to the group, and we join none.
func (p *Proxy) allowed(to netip.AddrPort, src netip.Addr) bool {
	a := to.Addr().Unmap()
	if a.IsMulticast() || a.IsUnspecified() || a == hop.Broadcast || p.net.Own(to) {
		return false
	}
	return hop.InReach(a, src) || p.opens != nil && p.opens(to, src)
}
