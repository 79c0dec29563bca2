package target

import (
	"bytes"

	"sipd/config"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// callerMayCall asks who is calling (BEHAVIOUR A11): somebody who says he is one of ours must prove it, whoever he calls.
func (d *Decision) callerMayCall(t Tables, f *Facts) bool {
	if f.InDialog {
		d.step("caller", "", trace.Accept, "in a dialog with our Record-Route token")
		return true
	}
	if t.Settings.AuthMethod == config.AuthNone {
		d.step("caller", "", trace.Skip, "AuthMethod is none")
		return true
	}
	if f.Trunk != nil {
		d.row("gateways", f.Trunk.Row.ID, "caller", f.Trunk.Row.Name, trace.Accept, "a gateway's own call is trusted")
		return true
	}
	dom := callerDomain(t, f.From)
	if dom == nil {
		d.step("caller", "", trace.Accept, "From is in a foreign domain: the callee's policy decides")
		return true
	}
	d.aor = appendCanonical(d.aor[:0], f.From, dom.Canonical)
	if f.Verdict == Authenticated {
		if !t.Owns(f.User, d.aor) {
			d.step("caller", string(f.User.Key), trace.Deny, "the credentials' owner does not own From")
			return d.reject(403)
		}
		d.row("users", f.User.ID, "caller", string(f.User.Key), trace.Accept, "authenticated, owns From")
		return true
	}
	if u := t.User(d.aor); u.Exists() && u.AuthPolicy == store.Never && !u.Disabled {
		d.row("users", u.ID, "caller", string(u.Key), trace.Accept, "his auth_policy is never: believed, unauthenticated")
		return true
	}
	d.step("caller", dom.Canonical, trace.Deny, "From is local and not proven")
	return d.challenge(dom.Realm, f)
}

// policyLets asks the callee's auth policy. u is nobody for an unknown callee, who is treated as required so that strangers
// cannot tell who exists.
func (d *Decision) policyLets(t Tables, f *Facts, u cache.User) bool {
	if f.InDialog || t.Settings.AuthMethod == config.AuthNone || f.Verdict == Authenticated || f.Trunk != nil {
		return true
	}
	policy, subject := store.Required, ""
	if u.Exists() {
		policy, subject = u.AuthPolicy, string(u.Key)
	}
	switch policy {
	case store.Never:
		d.step("auth policy", subject, trace.Accept, "never")
		return true
	case store.Requested:
		d.step("auth policy", subject, trace.Accept, "requested: goes on unauthenticated")
		return true
	}
	d.step("auth policy", subject, trace.Deny, "credentials are needed")
	return d.challenge(f.Canonical.Realm, f)
}

func (d *Decision) challenge(realm string, f *Facts) bool {
	d.Kind, d.Status, d.Realm, d.Stale = Challenge, 407, realm, f.Verdict == StaleCredentials
	return false
}

// appendCanonical appends the AOR of u with its host replaced by the domain's canonical name.
func appendCanonical(dst []byte, u *sipaddr.URI, canonical string) []byte {
	at := len(dst)
	dst = u.AppendAOR(dst)
	if i := bytes.LastIndexByte(dst[at:], '@'); i >= 0 {
		return append(dst[:at+i+1], canonical...)
	}
	return append(dst[:at], canonical...)
}
