package transaction

import (
	"crypto/subtle"
	"encoding/binary"

	"sipd/server/transport"
)

// A Ref is kind (2 bits), shard (6), slot (24) and generation (32). The generation is never 0 and so is no Ref.
const (
	slotBits = 24

	kindServer = 1
	kindClient = 2
	kindCancel = 3 // the CANCEL of a client transaction, which has the rest of its Ref
)

func makeRef(kind int, shard uint8, slot, gen uint32) transport.Ref {
	return transport.Ref(kind)<<62 | transport.Ref(shard)<<56 | transport.Ref(slot)<<32 | transport.Ref(gen)
}

func refKind(r transport.Ref) int    { return int(r >> 62) }
func refShard(r transport.Ref) int   { return int(r>>56) & (maxShards - 1) }
func refSlot(r transport.Ref) uint32 { return uint32(r>>32) & (1<<slotBits - 1) }
func refGen(r transport.Ref) uint32  { return uint32(r) }

// A branch is the magic cookie, 32 base32 letters, a dot and 16 hex digits. The letters are 20 bytes: boot id (4), shard (1),
// slot (3), generation (4), secret cookie (8). The digits are the loop value.
const (
	magicCookie = "z9hG4bK"
	letters     = 32
	dotAt       = len(magicCookie) + letters
	branchLen   = dotAt + 1 + 16

	base32    = "abcdefghijklmnopqrstuvwxyz234567"
	hexDigits = "0123456789abcdef"
)

// identity is what the letters of a branch say.
type identity struct {
	boot   uint32
	shard  uint8
	slot   uint32
	gen    uint32
	cookie uint64
}

func appendBranch(dst []byte, id identity, loop uint64) []byte {
	var raw [20]byte
	binary.BigEndian.PutUint32(raw[0:], id.boot)
	binary.BigEndian.PutUint32(raw[4:], uint32(id.shard)<<slotBits|id.slot)
	binary.BigEndian.PutUint32(raw[8:], id.gen)
	binary.BigEndian.PutUint64(raw[12:], id.cookie)
	dst = append(dst, magicCookie...)
	dst = appendBase32(dst, raw[:])
	dst = append(dst, '.')
	for shift := 60; shift >= 0; shift -= 4 {
		dst = append(dst, hexDigits[loop>>shift&15])
	}
	return dst
}

// appendBase32 encodes src, whose length is a multiple of 5, in lower case without padding.
func appendBase32(dst, src []byte) []byte {
	for ; len(src) >= 5; src = src[5:] {
		v := uint64(src[0])<<32 | uint64(binary.BigEndian.Uint32(src[1:]))
		for shift := 35; shift >= 0; shift -= 5 {
			dst = append(dst, base32[v>>shift&31])
		}
	}
	return dst
}

// parseBranch reads a branch that appendBranch wrote, in any case: branches are tokens (RFC 3261 7.3.1).
func parseBranch(b []byte) (id identity, loop uint64, ok bool) {
	if len(b) != branchLen || b[dotAt] != '.' || !hasMagicCookie(b) {
		return identity{}, 0, false
	}
	var raw [20]byte
	text := b[len(magicCookie):dotAt]
	for i := 0; i < len(raw); i += 5 {
		var v uint64
		for _, c := range text[:8] {
			d := base32Values[c]
			if d < 0 {
				return identity{}, 0, false
			}
			v = v<<5 | uint64(d)
		}
		raw[i] = byte(v >> 32)
		binary.BigEndian.PutUint32(raw[i+1:], uint32(v))
		text = text[8:]
	}
	for _, c := range b[dotAt+1:] {
		switch {
		case c >= '0' && c <= '9':
			c -= '0'
		case c|0x20 >= 'a' && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return identity{}, 0, false
		}
		loop = loop<<4 | uint64(c)
	}
	place := binary.BigEndian.Uint32(raw[4:])
	return identity{
		boot:   binary.BigEndian.Uint32(raw[0:]),
		shard:  uint8(place >> slotBits),
		slot:   place & (1<<slotBits - 1),
		gen:    binary.BigEndian.Uint32(raw[8:]),
		cookie: binary.BigEndian.Uint64(raw[12:]),
	}, loop, true
}

// base32Values maps letters of either case to their value, everything else to -1.
var base32Values = func() (v [256]int8) {
	for i := range v {
		v[i] = -1
	}
	for i, c := range []byte(base32) {
		v[c] = int8(i)
		if c >= 'a' {
			v[c-'a'+'A'] = int8(i)
		}
	}
	return v
}()

// hasMagicCookie tells whether a branch is one of RFC 3261, not of RFC 2543.
func hasMagicCookie(branch []byte) bool {
	if len(branch) < len(magicCookie) {
		return false
	}
	for i := range len(magicCookie) {
		if lower(branch[i]) != lower(magicCookie[i]) {
			return false
		}
	}
	return true
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}

// LoopHash returns the loop value of a branch that a process of ours (any boot) wrote, ok false for others (RFC 5393 4.2.1).
// stateless tells whether AppendStatelessBranch has written it.
func LoopHash(branch []byte) (loop uint64, stateless, ok bool) {
	id, loop, ok := parseBranch(branch)
	return loop, id.gen == 0, ok
}

// AppendBranch appends the branch parameter's value: magic cookie, boot id, shard, slot, generation, a secret cookie of
// the transaction, '.', loop in hex. All lower case but the magic cookie. Responses are matched by all of it, so a
// request is written with the branch of the last call.
func (c *Client) AppendBranch(dst []byte, loop uint64) []byte {
	c.loop = loop
	return appendBranch(dst, identity{
		boot:   c.shard.table.boot,
		shard:  c.shard.index,
		slot:   refSlot(c.ref),
		gen:    refGen(c.ref),
		cookie: c.cookie,
	}, loop)
}

// Proof is what the first part of a stateless branch says (16.11): nothing of it is kept here, so it has to prove itself.
type Proof struct {
	Port uint16 // own port that the request came to
	MAC  [12]byte
}

// AppendStatelessBranch appends the branch of a request that is forwarded without a transaction (16.11). No client transaction has
// it, since its generation is 0.
func AppendStatelessBranch(dst []byte, proof Proof, loop uint64) []byte {
	return appendBranch(dst, identity{
		boot:   binary.BigEndian.Uint32(proof.MAC[:]),
		slot:   uint32(proof.Port),
		cookie: binary.BigEndian.Uint64(proof.MAC[4:]),
	}, loop)
}

// ParseStatelessBranch reads what AppendStatelessBranch wrote; whether the proof holds is the caller's to find out.
func ParseStatelessBranch(branch []byte) (proof Proof, ok bool) {
	id, _, ok := parseBranch(branch)
	if !ok || id.gen != 0 || id.shard != 0 || id.slot > 1<<16-1 {
		return Proof{}, false
	}
	proof.Port = uint16(id.slot)
	binary.BigEndian.PutUint32(proof.MAC[:], id.boot)
	binary.BigEndian.PutUint64(proof.MAC[4:], id.cookie)
	return proof, true
}

// clientOf returns the client transaction that wrote branch, nil when there is none (any more) or the branch is forged.
func (s *Shard) clientOf(branch []byte) *Client {
	id, loop, ok := parseBranch(branch)
	if !ok || id.boot != s.table.boot || id.shard != s.index {
		return nil
	}
	c := s.clients.get(id.slot, id.gen)
	if c == nil || c.state == idle || c.state == terminated || c.loop != loop {
		return nil
	}
	var got, want [8]byte
	binary.BigEndian.PutUint64(got[:], id.cookie)
	binary.BigEndian.PutUint64(want[:], c.cookie)
	if subtle.ConstantTimeCompare(got[:], want[:]) != 1 {
		return nil
	}
	return c
}
