package auth

import (
	"time"

	"sipd/server/message"
	"sipd/store"
	"sipd/store/cache"
)

// Verdict is what a request's credentials are worth.
type Verdict uint8

// The verdicts.
const (
	None  Verdict = iota // no credentials for our realm
	Bad                  // wrong secret, unknown name, malformed
	Stale                // right secret, old nonce or unknown nc: challenge with stale=true
	Good
)

// Facts is who is calling.
type Facts struct {
	Verdict Verdict
	User    *store.User // owner of the credentials when Good (or Stale)
}

// Verifier verifies credentials and writes challenges. Its only state is the window of nonce counts.
type Verifier struct {
	// ...
}

// Verify judges the credentials for realm: Authorization when register is true (we are the UAS, 401), else
// Proxy-Authorization and, for a realm of ours, Authorization too.
func (v *Verifier) Verify(s *cache.Snapshot, m *message.Message, realm string, now time.Time) Facts {
	return Facts{}
}
