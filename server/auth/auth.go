package auth

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"sync/atomic"
	"time"

	"sipd/digest"
	"sipd/server/message"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
)

// Verdict is what a request's credentials are worth.
type Verdict uint8

// The verdicts.
const (
	None  Verdict = iota // no credentials for our realm
	Bad                  // wrong secret, unknown name, malformed
	Stale                // right secret, but the nonce is not good or nc was used: challenge with stale=true
	Good
)

// Facts is who is calling.
type Facts struct {
	Verdict Verdict
	User    cache.User // owner of the credentials when Good or Stale
}

// Verifier verifies credentials and writes challenges. Its only state is the window of nonce counts. It is safe for concurrent use.
type Verifier struct {
	boot   uint32        // tells this process's nonces from its predecessors', whose nc are not known
	serial atomic.Uint32 // makes nonces unique
	used   windows
}

// Trim forgets the nonces that are too old to be used again, and returns about how many bytes that is; for times with little to do.
func (v *Verifier) Trim(now time.Time) (bytes uint64) { return v.used.trim(now) }

// NewVerifier returns a Verifier that has seen no nonce.
func NewVerifier() *Verifier {
	var b [4]byte
	rand.Read(b[:]) // It never fails (crypto/rand).
	return &Verifier{boot: binary.BigEndian.Uint32(b[:])}
}

// maxCredentials is how many credentials for our realm one request may have us compute; a client sends one, with two
// challenges for a realm from two proxies two (RFC 3261 22.3).
const maxCredentials = 4

// Verify judges the credentials for realm. When uas is true we are the UAS and Authorization holds them (22.2), else
// Proxy-Authorization (22.3) and, since the secret is the same, Authorization too.
func (v *Verifier) Verify(s *cache.Snapshot, m *message.Message, realm string, uas bool, now time.Time) Facts {
	var best Facts
	if realm == "" { // Not a domain of ours: nobody has credentials for it.
		return best
	}
	left := maxCredentials
	if !uas {
		best = v.verifyAll(s, m, message.ProxyAuthorization, realm, &left, now)
	}
	if best.Verdict != Good {
		if f := v.verifyAll(s, m, message.Authorization, realm, &left, now); f.Verdict > best.Verdict {
			best = f
		}
	}
	return best
}

// verifyAll judges all header lines of an id and returns the best. Credentials are never combined in one line (RFC 3261 7.3.1).
func (v *Verifier) verifyAll(s *cache.Snapshot, m *message.Message, id message.HeaderID, realm string, left *int, now time.Time) Facts {
	var best Facts
	var c digest.Credentials
	for h, ok := m.First(id); ok && best.Verdict != Good && *left > 0; h, ok = m.After(h) {
		err := c.Parse(m.HeaderValue(h))
		switch {
		case errors.Is(err, digest.ErrScheme), errors.Is(err, digest.ErrEmpty):
			continue
		case err != nil && c.Realm == nil, string(c.Realm) == realm:
			*left--
		default:
			continue // Somebody else's.
		}
		f := Facts{Verdict: Bad}
		if err == nil {
			f = v.verify(s, m, &c, now)
		}
		if f.Verdict > best.Verdict {
			best = f
		}
	}
	return best
}

// noHA1 stands in for the HA1 of names that do not exist, so that they cost the same time: no password has it.
const noHA1 = "00000000000000000000000000000000" + "00000000000000000000000000000000"

func (v *Verifier) verify(s *cache.Snapshot, m *message.Message, c *digest.Credentials, now time.Time) Facts {
	// An algorithm that is not offered is not taken: otherwise a man in the middle could ask for the weaker one.
	if !offered(s, c.Algorithm) {
		return Facts{Verdict: Bad}
	}
	cred := s.Credential(c.Realm, c.Username, store.Algorithm(c.Algorithm))
	var buf [len(noHA1)]byte
	ha1 := append(buf[:0], noHA1[:2*c.Algorithm.Size()]...)
	if cred.Exists() {
		ha1 = cred.AppendHA1(buf[:0])
	}
	right := c.Verify(ha1, m.MethodText())
	if !right || !cred.Exists() || !sameResource(s, c.URI, m.RequestURI()) {
		return Facts{Verdict: Bad}
	}
	id, fresh := v.openNonce(c.Nonce, &s.Settings.PrivateKey, now)
	// Without qop there is no count, and a replay looks like the original: such a nonce is good once.
	if !fresh || !v.used.use(id, max(c.Count, 1), now) {
		return Facts{Verdict: Stale, User: cred.User}
	}
	return Facts{Verdict: Good, User: cred.User}
}

// The numbers of digest.Algorithm are those of store.Algorithm.
var _ = [1]struct{}{}[int(digest.MD5)-int(store.MD5)|int(digest.SHA256)-int(store.SHA256)|int(digest.SHA512256)-int(store.SHA512_256)]

func offered(s *cache.Snapshot, a digest.Algorithm) bool {
	for _, o := range s.Settings.DigestAlgorithms {
		if digest.Algorithm(o) == a {
			return true
		}
	}
	return false
}

// sameResource tells whether the digest uri stands for the Request-URI (RFC 8760 2.6 item 6): the same user and host, not the
// same text, since a proxy before us may have written it anew. Two names of one of our domains are the same host.
func sameResource(s *cache.Snapshot, text []byte, request *sipaddr.URI) bool {
	if string(text) == string(request.Text) {
		return true
	}
	u, err := sipaddr.Parse(text)
	if err != nil {
		return false
	}
	if u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS || request.Scheme != sipaddr.SIP && request.Scheme != sipaddr.SIPS {
		return u.Equal(request)
	}
	var a, b [256]byte // Longer ones spill to the heap.
	x, y := u.AppendAOR(a[:0]), request.AppendAOR(b[:0])
	if string(x) == string(y) {
		return true
	}
	hostX, hostY := hostLen(x), hostLen(y)
	if string(x[:len(x)-hostX]) != string(y[:len(y)-hostY]) {
		return false
	}
	dx := s.Domain(u.Host)
	dy := s.Domain(request.Host)
	return dx != nil && dy != nil && dx.Canonical == dy.Canonical
}

// hostLen returns the length of an AOR's host.
func hostLen(aor []byte) int {
	for i := len(aor) - 1; i >= 0; i-- {
		if aor[i] == '@' {
			return len(aor) - 1 - i
		}
	}
	return len(aor)
}
