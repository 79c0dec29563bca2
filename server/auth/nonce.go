package auth

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"time"
)

// nonceLife is how long a nonce is good: long enough for a dialog's first requests, short enough that what is stolen soon
// has no use. Phones refresh their registration later than that and are challenged again, one round trip with stale=true.
const nonceLife = 5 * time.Minute

// clockSlack is how far ahead of its reader's clock a nonce may be: two workers read the clock in one order and come here in the other.
const clockSlack = 2 * time.Second

// The binary form of a nonce: seconds, boot id, serial, MAC; 28 bytes, 38 characters. 16 bytes of MAC cannot be guessed on line.
const (
	nonceBody = 12
	nonceMAC  = 16
	nonceRaw  = nonceBody + nonceMAC
)

var encoding = base64.RawURLEncoding.Strict()

// nonceLen is the length of a nonce as sent.
var nonceLen = encoding.EncodedLen(nonceRaw)

// nonceID is a nonce of this process.
type nonceID struct {
	seconds uint32 // when it was issued, by unixNano; enough until 2106
	serial  uint32
}

// epoch ties the clock of nonces to the wall clock.
var epoch = time.Now()

// unixNano is Unix time that goes on with the monotonic clock: no nonce grows old, or young again, because somebody sets the wall
// clock.
func unixNano(now time.Time) int64 { return epoch.UnixNano() + int64(now.Sub(epoch)) }

// seconds is unixNano in whole seconds.
func seconds(now time.Time) int64 { return unixNano(now) / int64(time.Second) }

// appendNonce appends a new nonce.
func (v *Verifier) appendNonce(dst []byte, key *[32]byte, now time.Time) []byte {
	var raw [nonceRaw]byte
	binary.BigEndian.PutUint32(raw[0:], uint32(seconds(now)))
	binary.BigEndian.PutUint32(raw[4:], v.boot)
	binary.BigEndian.PutUint32(raw[8:], v.serial.Add(1))
	sum := mac(key, raw[:nonceBody])
	copy(raw[nonceBody:], sum[:])
	return encoding.AppendEncode(dst, raw[:])
}

// openNonce reads a nonce. ok is false for those of another process or key, and for those that are too old.
func (v *Verifier) openNonce(nonce []byte, key *[32]byte, now time.Time) (id nonceID, ok bool) {
	var raw [nonceRaw + 3]byte
	if len(nonce) != nonceLen {
		return nonceID{}, false
	}
	if n, err := encoding.Decode(raw[:], nonce); err != nil || n != nonceRaw {
		return nonceID{}, false
	}
	sum := mac(key, raw[:nonceBody])
	if subtle.ConstantTimeCompare(sum[:nonceMAC], raw[nonceBody:nonceRaw]) != 1 || binary.BigEndian.Uint32(raw[4:]) != v.boot {
		return nonceID{}, false
	}
	id = nonceID{seconds: binary.BigEndian.Uint32(raw[0:]), serial: binary.BigEndian.Uint32(raw[8:])}
	age := time.Duration(unixNano(now) - int64(id.seconds)*int64(time.Second))
	return id, age < nonceLife && age > -clockSlack
}

// macPurpose keeps other MACs made with PrivateKey from being nonces.
const macPurpose = "nonce\x00"

// mac is HMAC-SHA-256 (RFC 2104) of a purpose and body, on the stack: crypto/hmac would allocate for every message.
func mac(key *[32]byte, body []byte) [sha256.Size]byte {
	const block = sha256.BlockSize
	var buf [block + len(macPurpose) + nonceBody]byte
	for i := range block {
		buf[i] = 0x36
	}
	for i, k := range key {
		buf[i] ^= k
	}
	b := append(buf[:block], macPurpose...)
	inner := sha256.Sum256(append(b, body...))
	var outer [block + sha256.Size]byte
	for i := range block {
		outer[i] = 0x5c
	}
	for i, k := range key {
		outer[i] ^= k
	}
	copy(outer[block:], inner[:])
	return sha256.Sum256(outer[:])
}
