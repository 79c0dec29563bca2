package auth

import (
	"time"

	"sipd/digest"
	"sipd/server/message"
	"sipd/sipaddr"
	"sipd/store/cache"
)

// Challenge returns the fields of a challenge for realm: WWW-Authenticate for a 401 when uas is true, else Proxy-Authenticate
// for a 407. There is one for each algorithm of DigestAlgorithms, most preferred first (RFC 8760 2.3), that the named user has
// credentials for, all with one nonce. A name without any, and an unknown one, gets the whole list. The named user is who the failed
// credentials name, else who registers (To; From when it may be a third party) or calls (From).
func (v *Verifier) Challenge(s *cache.Snapshot, m *message.Message, realm string, uas, stale bool, now time.Time) []message.Field {
	id, name := message.ProxyAuthorization, "Proxy-Authenticate"
	if uas {
		id, name = message.Authorization, "WWW-Authenticate"
	}
	algorithms := s.Settings.DigestAlgorithms
	var known [1]digest.Algorithm
	if len(algorithms) < 2 {
		known[0] = digest.MD5
		if len(algorithms) == 1 {
			known[0] = digest.Algorithm(algorithms[0])
		}
		return v.appendChallenges(nil, s, realm, name, known[:], stale, now)
	}
	all := make([]digest.Algorithm, 0, len(algorithms))
	for _, who := range named(s, m, id, realm) {
		all = all[:0]
		for _, a := range algorithms {
			if who != nil && s.Credential([]byte(realm), who, a).Exists() {
				all = append(all, digest.Algorithm(a))
			}
		}
		if len(all) > 0 {
			return v.appendChallenges(nil, s, realm, name, all, stale, now)
		}
	}
	for _, a := range algorithms {
		all = append(all, digest.Algorithm(a))
	}
	return v.appendChallenges(nil, s, realm, name, all, stale, now)
}

func (v *Verifier) appendChallenges(dst []message.Field, s *cache.Snapshot, realm, name string, algorithms []digest.Algorithm, stale bool, now time.Time) []message.Field {
	var raw [64]byte
	nonce := v.appendNonce(raw[:0], &s.Settings.PrivateKey, now)
	const fixed = len(`Digest realm="", nonce="", algorithm=SHA-512-256, qop="auth", stale=true`)
	buf := make([]byte, 0, len(algorithms)*(fixed+len(realm)+len(nonce)))
	for _, a := range algorithms {
		at := len(buf)
		buf = digest.AppendChallenge(buf, a, realm, nonce, stale)
		dst = append(dst, message.Field{Name: name, Value: buf[at:len(buf):len(buf)]})
	}
	return dst
}

// named returns the names a request goes by, most telling first: that of its credentials for realm, and the user and
// AOR of To (of a REGISTER) or From. RFC 3261 10.2: a third party is named by From.
func named(s *cache.Snapshot, m *message.Message, id message.HeaderID, realm string) (names [3][]byte) {
	var c digest.Credentials
	for h, ok := m.First(id); ok; h, ok = m.After(h) {
		if _ = c.Parse(m.HeaderValue(h)); string(c.Realm) == realm && c.Username != nil {
			names[0] = c.Username
			break
		}
	}
	a := m.FromAddress()
	if m.Method() == message.REGISTER && !s.Settings.ThirdPartyReg {
		a = m.ToAddress()
	}
	if a == nil || !a.URI.HasUser || a.URI.Scheme == sipaddr.Other {
		return names
	}
	names[2] = a.URI.AppendAOR(nil)
	if n := len(names[2]) - 1 - hostLen(names[2]); n > 0 {
		names[1] = names[2][:n]
	}
	return names
}
