package pattern

import "math/bits"

// indexed is how many leading characters of a number choose the patterns that are tried: country code, area and exchange.
const indexed = 9

// Set tries many patterns at once. Its order is the order of the patterns.
type Set struct {
	patterns []*Pattern
	words    int
	// length has, for each length of a number, a bit for each pattern that has matches of that length; longer ones are in the last.
	length [MaxLen + 1][]uint64
	// lead has, for each of the first characters and each symbol there, a bit for each pattern that can have it there.
	lead [indexed][symbols][]uint64
}

// symbols are what characters are told apart by in the index: ten digits, + # *, A to D, and anything else.
const symbols = 18

// symbolOf is the symbol of each byte.
var symbolOf = func() (t [256]uint8) {
	for i := range t {
		t[i] = symbols - 1
	}
	for i := range 10 {
		t['0'+i] = uint8(i)
	}
	t['+'], t['#'], t['*'] = 10, 11, 12
	for i := range 4 {
		t['A'+i], t['a'+i] = uint8(13+i), uint8(13+i)
	}
	return t
}()

// NewSet makes a set. A nil pattern never matches: rules that are switched off keep their places.
func NewSet(patterns []*Pattern) *Set {
	s := &Set{patterns: patterns, words: (len(patterns) + 63) / 64}
	all := make([]uint64, s.words*(len(s.length)+indexed*symbols))
	row := func() (r []uint64) {
		r, all = all[:s.words:s.words], all[s.words:]
		return r
	}
	for i := range s.length {
		s.length[i] = row()
	}
	for i := range s.lead {
		for j := range s.lead[i] {
			s.lead[i][j] = row()
		}
	}
	for i, p := range patterns {
		if p == nil {
			continue
		}
		for n := p.min; n <= p.max; n++ {
			s.length[n][i>>6] |= 1 << (i & 63)
		}
		for at, can := range p.leads() {
			for c := range 256 {
				if can.has(byte(c)) {
					s.lead[at][symbolOf[c]][i>>6] |= 1 << (i & 63)
				}
			}
		}
	}
	return s
}

// Next returns the index of the first pattern, from index from on, that matches number; -1 when there is none.
func (s *Set) Next(number []byte, from int) int {
	if len(number) > MaxLen {
		return -1
	}
	for w := from >> 6; w < s.words; w++ {
		can := s.length[len(number)][w]
		for at := range min(len(number), indexed) {
			can &= s.lead[at][symbolOf[number[at]]][w]
		}
		if w == from>>6 {
			can &= ^uint64(0) << (from & 63)
		}
		for ; can != 0; can &= can - 1 {
			i := w<<6 + bits.TrailingZeros64(can)
			var k kept
			if s.patterns[i].match(number, &k) {
				return i
			}
		}
	}
	return -1
}

// leads returns what the first characters of a match can be.
func (p *Pattern) leads() (can [indexed]charset) {
	now := p.follow(nil, 0)
	for at := range can {
		var next []int
		for _, pc := range now {
			in := &p.prog[pc]
			for w := range can[at] {
				can[at][w] |= in.set[w]
			}
			if in.op == more {
				next = p.follow(next, pc)
			}
			next = p.follow(next, pc+1)
		}
		now = next
	}
	return can
}

// follow adds the instructions that take the next byte when the program goes on at pc.
func (p *Pattern) follow(dst []int, pc int) []int {
	if pc == len(p.prog) {
		return dst
	}
	switch in := &p.prog[pc]; in.op {
	case jump, fork:
		for _, to := range in.to {
			dst = p.follow(dst, int(to))
		}
		return dst
	}
	for _, have := range dst {
		if have == pc {
			return dst
		}
	}
	return append(dst, pc)
}
