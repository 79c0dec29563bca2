package target

import (
	"net/netip"
	"time"

	"sipd/config"
	"sipd/gatewaymap"
	"sipd/location"
	"sipd/plan"
	"sipd/server/gateway"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// WarnClass is the warn code of a 403 to a caller whose class may not call a number (RFC 3261 20.43: 399 is any other warning).
const WarnClass = 399

// byAdministrator stands for who writes the tables of gateways: his targets lead wherever this machine could go itself, as static contacts do.
// byUser is for what a user has written into a table: it leads to no loopback and no link.
var (
	byAdministrator = netip.IPv6Loopback()
	byUser          = netip.IPv6Unspecified()
)

// classOf is the gateway class of a caller: that of the user who has proven who he is, or of the gateway that calls; "" for all others.
func (t Tables) classOf(f *Facts) string {
	switch {
	case f.Class != nil:
		return *f.Class
	case f.Trunk != nil:
		return f.Trunk.Class
	case f.Verdict == Authenticated:
		return t.Class(f.User)
	}
	return ""
}

// classFor is the class that counts where a user leads a caller on to a number: by a forward, a tel contact, a 3xx (GatewayClassOf).
func (d *Decision) classFor(t Tables, owner cache.User) string {
	if t.Settings.GatewayClassOf == "caller" {
		return d.class
	}
	return t.Class(owner)
}

// known tells whether it is known who calls, as it must be where a call costs something: whoever is in a dialog with one of us is not.
func known(t Tables, f *Facts) bool {
	return f.Verdict == Authenticated || f.Trunk != nil || t.Settings.AuthMethod == config.AuthNone
}

// dialNumber leads to the gateways of a number that nobody here has.
func (d *Decision) dialNumber(t Tables, f *Facts, now time.Time) bool {
	class := d.class
	if d.free {
		class = gatewaymap.Anybody
	} else if found, asks := d.enum(t, f, now); found || asks {
		return found
	}
	switch d.dial(t, class, f.User, now) {
	case gatewaymap.Found:
		switch {
		case len(d.Targets) > 0:
			return true
		case d.insecure:
			return d.absent()
		}
		d.step("gateway", "", trace.Deny, "no gateway of the hunt group takes calls")
		return d.reject(503)
	case gatewaymap.Denied:
		d.step("gateway map", class, trace.Deny, "the class of the caller may not call this number")
		d.Warning, d.Class = WarnClass, class
		return d.reject(403)
	}
	d.text("gateway map", d.number, trace.NoMatch, "no rule has this number")
	found, asks := d.locate(t, f, number, cache.User{}, now)
	return found || !asks && d.reject(404)
}

// dial makes targets of the gateways of d.number for a caller of class: one target, with the others of its hunt group as Else.
func (d *Decision) dial(t Tables, class string, owner cache.User, now time.Time) gatewaymap.Outcome {
	p := t.Plan()
	var room [gatewaymap.MaxGroup]*gatewaymap.Rule
	rules, out := p.Map.Rules(room[:0], d.number, class, &d.Trace)
	d.hunt, d.fellows = d.hunt[:0], d.fellows[:0]
	for _, r := range rules {
		d.member(t, p, r, owner)
	}
	if len(d.hunt) == 0 {
		return out
	}
	if class != gatewaymap.Anybody {
		for i := range d.hunt {
			d.hunt[i].Class = class
		}
	}
	d.places = d.places[:0]
	if t.Order != nil {
		d.places = t.Order(d.places, d.fellows, now, &d.Trace)
	} else {
		for i := range d.hunt {
			d.places = append(d.places, i)
		}
	}
	if len(d.places) == 0 && class == gatewaymap.Anybody {
		// Who calls for help is turned away by the gateway itself, if at all: not by a count, nor because somebody has drained it.
		d.step("gateway", "", trace.Match, "no gateway takes calls, but this one is an emergency")
		for i := range d.hunt {
			d.hunt[i].Gateway = 0
			d.places = append(d.places, i)
		}
	}
	if len(d.places) == 0 {
		return out
	}
	if len(d.set)+len(d.Targets) >= maxTargets {
		d.step("gateway", "", trace.Skip, "too many targets")
		return out
	}
	x := d.hunt[d.places[0]]
	if len(d.places) > 1 {
		x.Else = make([]Target, len(d.places)-1)
		for i := range x.Else {
			y := d.hunt[d.places[i+1]]
			y.Diverted, y.Nth = d.via, i+2
			x.Else[i] = y
		}
	}
	d.add(x)
	return out
}

// member adds what a rule makes of d.number to the hunt group.
func (d *Decision) member(t Tables, p *plan.Plan, r *gatewaymap.Rule, owner cache.User) {
	skip := func(note string) {
		d.row("gatewaymap", r.ID, "gateway", r.Target.String(), trace.Skip, note)
	}
	d.uri = r.AppendURI(d.uri[:0], d.number)
	u, err := sipaddr.Parse(d.uri)
	if err != nil || u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS {
		skip("what it makes of the number is no sip URI")
		return
	}
	id := int64(0)
	if g := p.Gateway(u.Host); g != nil {
		if !g.Row.Enabled {
			skip("the gateway is disabled")
			return
		}
		id = g.Row.ID
		d.key = appendVia(d.key[:0], &u, &g.URI)
	} else if domainOf(t, &u, t.ownURI(&u)) != nil {
		skip("it leads to this server")
		return
	} else {
		d.key = append(d.key[:0], d.uri...)
	}
	text := string(d.key)
	switch {
	case d.sips && !isSIPS(text):
		d.insecure = true
		skip("a sips request goes by TLS alone") // RFC 3261 26.2.2
		return
	case !t.Names && !numericText(text):
		skip("its host is a name, only numeric next hops can be reached")
		return
	}
	d.hunt = append(d.hunt, Target{Binding: &location.Binding{URI: text, Q: maxQ, Action: uint8(store.Proxy)},
		Owner: owner, By: byAdministrator, Rule: r.ID, Gateway: id})
	d.fellows = append(d.fellows, gateway.Member{Gateway: id, Weight: r.Weight})
}

// appendVia appends the URI of who is called, u, at a gateway: the user and parameters are the rule's, the rest is the gateway's.
func appendVia(dst []byte, u, gw *sipaddr.URI) []byte {
	dst = append(append(dst, gw.Scheme.String()...), ':')
	if u.HasUser {
		dst = append(append(dst, u.User...), '@')
	}
	at := len(gw.Scheme.String()) + 1 // It has no user, no password and no headers.
	dst = append(dst, gw.Text[at:]...)
	return append(dst, u.Params...)
}

// numericText is numericHost for a text that is a URI.
func numericText(text string) bool {
	u, err := sipaddr.Parse([]byte(text))
	return err == nil && numericHost(&u)
}

// dialOut leads to where a rule of the dial plan sends a number: outside of our domains.
func (d *Decision) dialOut(t Tables, f *Facts) bool {
	switch {
	case !d.free && !known(t, f):
		d.step("dial plan", "", trace.Deny, "it is not known who calls")
		d.Warning = WarnClass
		return d.reject(403)
	case d.sips && !isSIPS(string(d.uri)):
		d.insecure = true
		return d.absent()
	}
	d.outside(t, f.User)
	return len(d.Targets) > 0 || d.reject(503)
}

// outside makes a target of d.uri. Its host may be the name of a gateway, as in the gateway map; but no class is asked for here, and the
// gateway is one address: nobody counts emergency calls there.
func (d *Decision) outside(t Tables, owner cache.User) {
	text := d.uri
	if u, err := sipaddr.Parse(d.uri); err == nil {
		if g := t.Plan().Gateway(u.Host); g != nil {
			if !g.Row.Enabled {
				d.row("dialplan", d.rule, "gateway", g.Row.Name, trace.Skip, "the gateway is disabled")
				return
			}
			d.key = appendVia(d.key[:0], &u, &g.URI)
			text = d.key
		}
	}
	d.add(Target{Binding: &location.Binding{URI: string(text), Q: maxQ, Action: uint8(store.Proxy)}, Owner: owner, By: byAdministrator, Rule: d.rule})
}

// ClassOf is the gateway class of the caller, "" for none.
func (f *Facts) ClassOf(t Tables) string { return t.classOf(f) }
