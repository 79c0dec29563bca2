package target

import (
	"sipd/config"
	"sipd/location"
	"sipd/sipaddr"
	"sipd/trace"
)

// foreign decides about a request for a domain that is not ours (BEHAVIOUR B11, ForeignDomain): our own users may call anybody,
// once they have proven who they are, whatever their auth_policy says; for others we relay nothing.
func (d *Decision) foreign(t Tables, f *Facts) {
	mode := t.Settings.ForeignDomain
	dom := callerDomain(t, f.From)
	switch {
	case mode == "reject":
		d.step("foreign domain", "", trace.Deny, "ForeignDomain is reject")
		d.reject(403)
		return
	case string(f.Method) == "REGISTER":
		d.step("foreign domain", "", trace.Deny, "registrations of others are not relayed")
		d.reject(403)
		return
	case f.URI.Scheme != sipaddr.SIP && f.URI.Scheme != sipaddr.SIPS:
		d.step("foreign domain", "", trace.Deny, "only sip and sips lead to a domain")
		d.reject(403)
		return
	case dom == nil:
		d.step("foreign domain", "", trace.Deny, "From is in a foreign domain, too: nobody here is concerned")
		d.reject(403)
		return
	case t.Settings.AuthMethod == config.AuthNone:
		d.step("caller", "", trace.Skip, "AuthMethod is none")
	case f.Verdict != Authenticated:
		d.step("caller", dom.Canonical, trace.Deny, "credentials are needed to call other domains")
		d.challenge(dom.Realm, f)
		return
	case !d.callerMayCall(t, f):
		return
	}
	if d.toGateway(t, f.URI, "foreign domain", "") {
		d.reject(403)
		return
	}
	d.step("foreign domain", "", trace.Accept, "ForeignDomain is "+mode)
	if mode == "redirect" {
		d.Kind, d.Status = Redirect, 302
		d.Targets = append(d.Targets, Target{Binding: &location.Binding{URI: string(f.URI.Text), Q: 1000}})
		return
	}
	d.Kind = Proxy
	d.Targets = append(d.Targets, Target{}) // Where the Request-URI leads.
}

// outward is what ForeignDomain allows a caller whom the answer to a question leads out of our domains, who did not name it himself: what
// foreign would for a request of his. We relay nothing for strangers, and a gateway's own calls are for us.
func (t Tables) outward(f *Facts) (mode, why string) {
	mode = t.Settings.ForeignDomain
	switch {
	case mode == "reject":
		return mode, "ForeignDomain is reject"
	case f.InDialog:
		return "reject", "a request in a dialog asks nobody"
	case callerDomain(t, f.From) == nil:
		return "reject", "From is in a foreign domain, too"
	case t.Settings.AuthMethod != config.AuthNone && f.Verdict != Authenticated:
		return "reject", "it is not known which user of ours calls"
	}
	return mode, ""
}
