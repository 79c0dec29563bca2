package registrar

import (
	"bytes"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"sipd/location"
	"sipd/server/message"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/trace"
)

// Limits of what one REGISTER may store. A binding should stay within some hundred bytes: there may be a million.
const (
	maxContacts = 64   // Contact values: the user's MaxContacts, and as many to remove
	maxContact  = 1024 // bytes of a value; GRUU and push parameters (RFC 8599) make them long
	maxCallID   = 256  // bytes
	maxInstance = 128  // bytes; a URN of a UUID has 47
	maxText     = 128  // bytes of display name and User-Agent; the rest is cut off
	maxMethods  = 256  // bytes of the methods parameter; a longer one is left out
)

// Expiry.
const (
	malformedExpires = 3600       // RFC 3261 10.2.1.1, 20.10: what a malformed value means
	tooBriefBelow    = 3600       // 10.3 step 7: nothing from an hour up may be refused with 423
	maxSeconds       = 1<<31 - 1  // more means this much; it is clamped to MaxExpires anyway
	forever          = 4294967295 // what a static contact shows (RFC 3665 2.2)
)

// contacts is steps 6 and 7 up to the point where bindings are looked at.
func (d *decision) contacts() Outcome {
	if !d.m.Has(message.Contact) {
		d.step("registrar contacts", "", trace.Accept, "none: the bindings are only listed")
		return Fetch{AOR: d.owner.Key}
	}
	if len(d.m.CallID()) > maxCallID {
		return badRequest("Call-ID Too Long")
	}
	c := &location.Change{
		AOR: d.owner.Key, UserID: d.owner.ID, CallID: string(d.m.CallID()), CSeq: d.m.CSeq(), Now: d.Now, Max: d.owner.MaxContacts,
	}
	if c.Max == 0 {
		c.Max = d.Tables.Settings.MaxContacts
	}
	values, star := 0, false
	for v := d.m.Values(message.Contact); ; values++ {
		text, ok := v.Next()
		if !ok {
			break
		}
		switch {
		case values >= maxContacts:
			return badRequest("Too Many Contacts")
		case len(text) > maxContact:
			return badRequest("Contact Too Long")
		case string(text) == "*":
			star = true
		}
	}
	switch {
	case values == 0:
		return badRequest("Empty Contact")
	case star: // Step 6: * stands alone, with an expiration time of zero.
		if n, ok := d.m.Seconds(message.Expires); values > 1 || !ok || n != 0 {
			return badRequest("Contact * Needs To Be Alone With Expires 0")
		}
		c.Star = true
		d.step("registrar contacts", "", trace.Accept, "*: all bindings are removed")
		return Update{Change: c}
	}
	return d.each(c)
}

// each is step 7 for every contact: its expiry, its parameters, its way.
func (d *decision) each(c *location.Change) Outcome {
	agent := cut(d.m.Value(message.UserAgent), maxText)
	paths := d.path.strings()
	adding, byReg := 0, false
	for v := d.m.Values(message.Contact); ; {
		text, ok := v.Next()
		if !ok {
			break
		}
		a, err := message.ParseAddress(text)
		if err != nil {
			return badRequest("Bad Contact")
		}
		b, bad := d.binding(&a)
		if bad != nil {
			return *bad
		}
		b.CallID, b.CSeq, b.UserAgent, b.Path = c.CallID, c.CSeq, agent, paths
		if b.Live(d.Now) {
			adding++
			byReg = byReg || b.RegID != 0
		}
		c.Set = append(c.Set, b)
	}
	// RFC 5626 6: a registration with a reg-id is about one flow.
	if byReg && adding > 1 {
		return badRequest("More Than One Contact With A reg-id")
	}
	if bad := d.secureBinding(c.Set); bad != nil {
		return *bad
	}
	outbound := false
	for _, b := range c.Set {
		if b.RegID != 0 && d.m.HasToken(message.Supported, "outbound") {
			outbound = d.outbound()
		}
		b.ByFlow = d.byFlow(b, adding == 1)
		if b.ByFlow {
			b.Conn = uint64(d.From.Conn)
		}
	}
	d.step("registrar contacts", "", trace.Accept, "")
	return Update{Change: c, Outbound: outbound}
}

// binding makes a binding of one Contact value.
func (d *decision) binding(a *message.Address) (*location.Binding, *Answer) {
	u := &a.URI
	switch {
	case u.Scheme == sipaddr.Other:
		// Deviates from RFC 3261 10.2.1: a UA may register any scheme, but we can neither proxy nor resolve others.
		return nil, badContact("Contact Must Be sip, sips Or tel")
	case !clean(u.Text):
		return nil, badContact("Bad Contact URI")
	}
	addr, numeric := u.Addr()
	if maddr, ok := u.Maddr(); ok { // RFC 3261 19.1.1: requests go there, whatever the host says.
		addr, numeric = sipaddr.ParseIP(maddr)
	}
	if addr = addr.Unmap(); numeric && (addr.IsMulticast() || addr == broadcast) {
		return nil, badContact("Contact Is No Unicast Address") // One call would reach a whole network.
	}
	seconds, bad := d.expires(a)
	if bad != nil {
		return nil, bad
	}
	b := &location.Binding{
		UserID: d.owner.ID, URI: string(u.Text), DisplayName: display(a.Display), Q: 1000, // BEHAVIOUR I2: no q is 1.
		Expires: location.At(d.Now.Add(time.Duration(seconds) * time.Second)), Updated: location.At(d.Now),
		Source: d.From.Remote, Proto: uint8(d.From.Proto), Local: d.From.Local,
	}
	if q, ok := a.Param("q"); ok {
		milli, err := sipaddr.ParseQ(q)
		if err != nil {
			return nil, badContact("Bad q: 0 To 1, At Most Three Decimals")
		}
		b.Q = milli
	}
	if action, ok := a.Param("action"); ok { // RFC 2543 6.13, BEHAVIOUR B5; other values mean nothing.
		switch {
		case equalFold(action, "proxy"):
			b.Action = uint8(store.Proxy)
		case equalFold(action, "redirect"):
			b.Action = uint8(store.Redirect)
		}
	}
	if methods, ok := a.Param("methods"); ok && len(methods) <= maxMethods && quotable(methods) { // RFC 3840 10.7
		b.Methods = string(methods)
	}
	return b, d.instance(a, b)
}

// instance reads +sip.instance and reg-id (RFC 5626 6). A reg-id counts when an instance is with it and the registrar, or an edge proxy that
// says so in Path, is the first hop.
func (d *decision) instance(a *message.Address, b *location.Binding) *Answer {
	id, ok := a.Param("+sip.instance")
	if !ok || len(id) == 0 {
		return nil
	}
	if len(id) > maxInstance || !quotable(id) {
		return badContact("Bad +sip.instance")
	}
	b.InstanceID = string(id)
	text, ok := a.Param("reg-id")
	if !ok {
		return nil
	}
	n, err := strconv.ParseUint(string(text), 10, 31)
	if err != nil || n == 0 {
		return badContact("Bad reg-id: 1 To 2147483647")
	}
	if d.direct || d.path.ob {
		b.RegID = int(n)
		return nil
	}
	if d.m.HasToken(message.Supported, "outbound") {
		return &Answer{Status: 439}
	}
	return nil
}

// expires finds how long a contact is to live: its parameter, else the header field, else our default; at most MaxExpires. What
// is too brief gets 423 with Min-Expires.
func (d *decision) expires(a *message.Address) (seconds int, bad *Answer) {
	set := d.Tables.Settings
	if text, ok := a.Param("expires"); ok {
		seconds = delta(text)
	} else if d.m.Has(message.Expires) {
		if seconds, ok = d.m.Seconds(message.Expires); !ok {
			seconds = malformedExpires
		}
	} else {
		seconds = int(set.Expires / time.Second)
	}
	least := int(set.MinExpires / time.Second)
	if 0 < seconds && seconds < least && seconds < tooBriefBelow {
		d.step("registrar expires", "", trace.Deny, "shorter than MinExpires")
		return 0, &Answer{Status: 423, Fields: []message.Field{{Name: "Min-Expires", Value: strconv.AppendInt(nil, int64(least), 10)}}}
	}
	return min(seconds, int(set.MaxExpires/time.Second)), nil
}

// delta reads delta-seconds.
func delta(text []byte) int {
	if len(text) == 0 {
		return malformedExpires
	}
	n := 0
	for _, c := range text {
		if c < '0' || c > '9' {
			return malformedExpires
		}
		n = min(n*10+int(c-'0'), maxSeconds)
	}
	return n
}

func badRequest(reason string) Outcome { return Answer{Status: 400, Reason: reason} }

func badContact(reason string) *Answer { return &Answer{Status: 400, Reason: reason} }

// clean tells whether text can be stored and sent again as it is: databases refuse NUL and what is no UTF-8.
func clean(text []byte) bool {
	for _, c := range text {
		if c < ' ' || c == 0x7f {
			return false
		}
	}
	return utf8.Valid(text)
}

// quotable tells whether text is clean and can stand between quotes as it is.
func quotable(text []byte) bool { return clean(text) && !bytes.ContainsAny(text, `"\`) }

// display returns a display name without quotes and escapes, as long as we keep it.
func display(text []byte) string {
	if len(text) < 2 || text[0] != '"' {
		return cut(text, maxText)
	}
	plain := make([]byte, 0, len(text))
	for i := 1; i < len(text)-1; i++ {
		if text[i] == '\\' && i+1 < len(text)-1 {
			i++
		}
		plain = append(plain, text[i])
	}
	return cut(plain, maxText)
}

// cut makes text storable: control characters and folds become spaces, what is no UTF-8 goes, and so does what is beyond n bytes.
func cut(text []byte, n int) string {
	s := strings.Map(func(r rune) rune {
		switch {
		case r == utf8.RuneError:
			return -1
		case r < ' ' || r == 0x7f:
			return ' '
		}
		return r
	}, string(text[:min(len(text), 4*n)]))
	for len(s) > n {
		_, size := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-size]
	}
	return s
}
