package auth

import (
	"crypto/hmac"
	"crypto/sha256"
	"testing"
	"time"
)

var begin = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

func at(now time.Time, serial uint32) nonceID {
	return nonceID{seconds: uint32(now.Unix()), serial: serial * windowShards} // All in one shard.
}

// As long as a nonce is good, its use is remembered, also across the turn of generations.
func TestWindowRemembersWhileGood(t *testing.T) {
	for _, issued := range []time.Duration{0, time.Second, 4 * time.Minute, nonceLife, nonceLife + time.Second, 2*nonceLife - time.Second} {
		var w windows
		w.use(at(begin, 1), 1, begin) // starts the clock of the shard
		id, first := at(begin.Add(issued), 2), begin.Add(issued)
		if !w.use(id, 1, first) {
			t.Fatalf("issued at %v: first use refused", issued)
		}
		for after := time.Duration(0); after < nonceLife; after += 7 * time.Second {
			w.use(at(first.Add(after), 1000+uint32(after/time.Second)), 1, first.Add(after)) // others go on
			if w.use(id, 1, first.Add(after)) {
				t.Fatalf("issued at %v: replay taken after %v", issued, after)
			}
		}
	}
}

// Trim drops what is too old, also where nobody comes any more, and nothing that is good.
func TestWindowTrim(t *testing.T) {
	for _, issued := range []time.Duration{0, time.Second, nonceLife - time.Second, nonceLife + time.Second} {
		var w windows
		w.use(at(begin, 1), 1, begin)
		id, first := at(begin.Add(issued), 2), begin.Add(issued)
		if !w.use(id, 1, first) {
			t.Fatalf("issued at %v: first use refused", issued)
		}
		for after := time.Duration(0); after < nonceLife; after += 7 * time.Second {
			w.trim(first.Add(after))
			if w.use(id, 1, first.Add(after)) {
				t.Fatalf("issued at %v: replay taken after %v, behind a trim", issued, after)
			}
		}
	}
	var w windows
	for i := range uint32(1000) {
		w.use(nonceID{seconds: uint32(begin.Unix()), serial: i}, 1, begin)
	}
	bytes := w.trim(begin.Add(time.Minute))
	if bytes != 0 {
		t.Errorf("got %d bytes after a minute, want none: all nonces are good", bytes)
	}
	bytes = w.trim(begin.Add(windowTurn)) + w.trim(begin.Add(2*windowTurn))
	if want := uint64(1000 * entryBytes); bytes != want {
		t.Errorf("got %d bytes after two lives of a nonce, want %d", bytes, want)
	}
}

// What is too old is dropped: the table does not grow with time.
func TestWindowForgetsTheOld(t *testing.T) {
	var w windows
	now := begin
	for i := uint32(0); i < 10_000; i++ {
		now = now.Add(time.Second)
		w.use(at(now, i), 1, now)
	}
	if n, most := len(w.shard[0].young)+len(w.shard[0].old), int(2*windowTurn/time.Second); n > most {
		t.Errorf("got %d entries, want at most %d", n, most)
	}
	now = now.Add(time.Hour)
	w.use(at(now, 1), 1, now)
	if n := len(w.shard[0].young) + len(w.shard[0].old); n != 1 {
		t.Errorf("after an hour: got %d entries, want 1", n)
	}
}

// A full table drops its older half, and what it forgot is never taken again; newer nonces are.
func TestWindowFull(t *testing.T) {
	var w windows
	now := begin
	fill := func() {
		for i := uint32(0); i < windowMax; i++ {
			if !w.use(at(now, i), 1, now) {
				t.Fatalf("fresh nonce %d refused at %v", i, now.Sub(begin))
			}
		}
	}
	first := at(now, 0)
	for range 3 { // Each moment is past the slack of the one before.
		fill()
		now = now.Add(10 * time.Second)
	}
	sh := &w.shard[0]
	if n := len(sh.young) + len(sh.old); n > 2*windowMax {
		t.Errorf("got %d entries, want at most %d", n, 2*windowMax)
	}
	if w.use(first, 1, now) || w.use(first, 2, now) {
		t.Error("a forgotten nonce was taken again")
	}
	if !w.use(at(now, 1), 1, now) {
		t.Error("a fresh nonce was refused")
	}
	kept := at(begin.Add(20*time.Second), 5)
	if w.use(kept, 1, now) {
		t.Error("a replay of a kept nonce was taken")
	}
	if !w.use(kept, 2, now) {
		t.Error("the next nc of a kept nonce was refused")
	}
}

// When the clock is set back, a full table does not lock everybody out.
func TestWindowClockBack(t *testing.T) {
	var w windows
	for i := uint32(0); i < windowMax; i++ {
		w.use(at(begin, i), 1, begin)
	}
	back := begin.Add(-time.Hour).Round(0)
	w.use(at(back, 1), 1, back) // forces the turn
	later := back.Add(10 * time.Second)
	if !w.use(at(later, 2), 1, later) {
		t.Error("a nonce issued after the clock was set back is refused")
	}
}

func TestMAC(t *testing.T) {
	key := [32]byte{9, 8, 7}
	body := []byte("123456789012")
	h := hmac.New(sha256.New, key[:])
	h.Write([]byte(macPurpose))
	h.Write(body)
	got := mac(&key, body)
	if !hmac.Equal(got[:], h.Sum(nil)) {
		t.Errorf("got %x, want HMAC-SHA-256", got)
	}
}
