package auth

import (
	"testing"
	"time"

	"sipd/internal/testclock"
)

// The wall clock is set by an hour: a nonce stays good for as long as it would have been, and its counts are not good again.
func TestClockIsSet(t *testing.T) {
	for _, step := range []time.Duration{time.Hour, -time.Hour} {
		v := NewVerifier()
		key := [32]byte{1}
		now := time.Now()
		nonce := v.appendNonce(nil, &key, now)
		id, ok := v.openNonce(nonce, &key, now)
		if !ok || !v.used.use(id, 1, now) {
			t.Fatal("a new nonce is not good")
		}
		at := testclock.Step(now.Add(time.Minute), step)
		if _, ok := v.openNonce(nonce, &key, at); !ok {
			t.Errorf("clock set by %v: a nonce of a minute is not good", step)
		}
		if v.used.use(id, 1, at) || !v.used.use(id, 2, at) {
			t.Errorf("clock set by %v: count 1 must stay used, 2 unused", step)
		}
		if _, ok := v.openNonce(nonce, &key, testclock.Step(now.Add(nonceLife+2*time.Second), step)); ok {
			t.Errorf("clock set by %v: an old nonce is good", step)
		}
		later := v.appendNonce(nil, &key, at)
		if _, ok := v.openNonce(later, &key, testclock.Step(at.Add(time.Minute), -step)); !ok {
			t.Errorf("clock set by %v and back: a nonce of a minute is not good", step)
		}
	}
}
