package pattern

import (
	"fmt"
	"strings"
)

// MaxLen is how many bytes a pattern or a number may have: the longest numbers of E.164 have 15 digits, the rest is for
// alternatives.
const MaxLen = 128

// Pattern is a compiled pattern.
type Pattern struct {
	text string
	prog []inst
	// straight patterns have neither alternatives nor *: one instruction matches one byte.
	straight bool
	// min and max are the lengths of the numbers that can match.
	min, max int
}

// String returns the pattern as it was written.
func (p *Pattern) String() string { return p.text }

// inst is an instruction of the program that a pattern is compiled to.
type inst struct {
	op   op
	kept bool     // one, more: the byte is matched outside parentheses
	set  charset  // one, more: the bytes that match
	to   []uint16 // fork: where the alternatives begin, the first first; jump: its one element
}

type op uint8

const (
	one  op = iota // one byte of set
	more           // one or more bytes of set, as many as possible
	fork           // goes on at the first of to from where the rest matches
	jump           // goes on at to[0]
)

// charset is a set of bytes.
type charset [4]uint64

func (s *charset) add(c byte) {
	s[c>>6] |= 1 << (c & 63)
	if 'a' <= c|0x20 && c|0x20 <= 'z' {
		c ^= 0x20
		s[c>>6] |= 1 << (c & 63)
	}
}

func (s *charset) has(c byte) bool { return s[c>>6]>>(c&63)&1 != 0 }

// digits are what ? and * match.
var digits = func() (s charset) {
	for c := byte('0'); c <= '9'; c++ {
		s.add(c)
	}
	return s
}()

// Error says what is wrong with a pattern or a target, and where.
type Error struct {
	Text   string // as it was written
	Column int    // from 1
	What   string // and what to write instead
}

func (e *Error) Error() string {
	return fmt.Sprintf("%q, column %d: %s", e.Text, e.Column, e.What)
}

// compiler reads a pattern from left to right.
type compiler struct {
	p       *Pattern
	at      int // the byte that is read
	group   int // where the open parenthesis stands, -1 outside
	star    int // where * stands, -1 when there is none yet
	closed  int // where the group that the * ended was closed, -1 when it was in none
	lastIn  int // instructions at the last open parenthesis: a group must have one at least
	lengths [2]int
}

// Compile reads a pattern. The error is an *Error.
func Compile(text string) (*Pattern, error) {
	c := compiler{p: &Pattern{text: text, straight: true}, group: -1, star: -1, closed: -1}
	if text == "" {
		return nil, c.fail(0, "a pattern cannot be empty: write the digits of a number, ? for any digit")
	}
	if len(text) > MaxLen {
		return nil, c.fail(MaxLen, fmt.Sprintf("a pattern has at most %d characters: write two rules", MaxLen))
	}
	for c.at < len(text) {
		if err := c.next(); err != nil {
			return nil, err
		}
	}
	if c.group >= 0 {
		return nil, c.fail(c.group, "( without ): close the part that is removed")
	}
	c.p.min, c.p.max = c.lengths[0], c.lengths[1]
	return c.p, nil
}

func (c *compiler) fail(at int, what string) error {
	return &Error{Text: c.p.text, Column: at + 1, What: what}
}

// next reads one atom or parenthesis.
func (c *compiler) next() error {
	text, at := c.p.text, c.at
	ch := text[at]
	c.at++
	if c.star >= 0 {
		// * was the last of a group: it must have been the last group, and the last of it.
		if ch == '(' || c.closed < 0 && ch != ')' {
			return c.fail(c.star, "* must be the last of the pattern, or of its last group; the star key is \\*")
		}
	}
	switch {
	case ch == '(':
		if c.group >= 0 {
			return c.fail(at, "groups cannot be nested: close the first one with )")
		}
		c.group, c.lastIn = at, len(c.p.prog)
	case ch == ')':
		if c.group < 0 {
			return c.fail(at, ") without (")
		}
		if len(c.p.prog) == c.lastIn {
			return c.fail(c.group, "an empty group removes nothing: leave it out")
		}
		c.group = -1
		if c.star >= 0 {
			c.closed = at
		}
	case ch == '[':
		return c.set(at)
	case ch == '{':
		return c.alternatives(at)
	case ch == '?':
		c.emit(one, digits)
	case ch == '*':
		c.star = at
		c.emit(more, digits)
	case ch == '\\':
		if c.at == len(text) {
			return c.fail(at, "\\ must be followed by the character it stands for")
		}
		c.literal(text[c.at])
		c.at++
	case '0' <= ch && ch <= '9', ch == '+', ch == '#', 'a' <= ch|0x20 && ch|0x20 <= 'd':
		c.literal(ch)
	case ch == ']' || ch == '}':
		return c.fail(at, fmt.Sprintf("%c closes nothing; the character itself is \\%c", ch, ch))
	case strings.IndexByte("-. /", ch) >= 0:
		return c.fail(at, "numbers are matched without separators: leave it out")
	default:
		return c.fail(at, fmt.Sprintf("%q is no digit: a pattern has digits + # A-D ? * [..] {..,..} ( ); the character itself is \\%c", ch, ch))
	}
	return nil
}

func (c *compiler) literal(ch byte) {
	var s charset
	s.add(ch)
	c.emit(one, s)
}

func (c *compiler) emit(o op, s charset) {
	c.p.prog = append(c.p.prog, inst{op: o, kept: c.group < 0, set: s})
	c.lengths[0]++
	c.lengths[1]++
	if o == more {
		c.p.straight = false
		c.lengths[1] = MaxLen
	}
	c.lengths[1] = min(c.lengths[1], MaxLen)
}

// set reads [..]; the bracket has been read.
func (c *compiler) set(at int) error {
	text := c.p.text
	end := strings.IndexByte(text[c.at:], ']')
	if end < 0 {
		return c.fail(at, "[ without ]: close the set")
	}
	body := text[c.at : c.at+end]
	from := c.at
	c.at += end + 1
	not := strings.HasPrefix(body, "!") || strings.HasPrefix(body, "^")
	if not {
		body = body[1:]
		from++
	}
	if body == "" {
		return c.fail(at, "an empty set matches nothing: write its digits, as in [0-4]")
	}
	var s charset
	for i := 0; i < len(body); i++ {
		ch := body[i]
		if i+2 >= len(body) || body[i+1] != '-' {
			if ch == '[' || ch == '(' || ch == ')' || ch == '{' || ch == '}' || ch == '\\' || ch == '-' {
				return c.fail(from+i, fmt.Sprintf("%c cannot stand in a set", ch))
			}
			s.add(ch)
			continue
		}
		last := body[i+2]
		if ch < '0' || last > '9' || ch > last {
			return c.fail(from+i, "a range goes from a digit to a larger one, as in [0-4]")
		}
		for ; ch <= last; ch++ {
			s.add(ch)
		}
		i += 2
	}
	if not {
		for w := range s {
			s[w] = digits[w] &^ s[w]
		}
		if s == (charset{}) {
			return c.fail(at, "no digit is left: the set matches nothing")
		}
	}
	c.emit(one, s)
	return nil
}

// alternatives reads {..,..}; the brace has been read.
func (c *compiler) alternatives(at int) error {
	text := c.p.text
	end := strings.IndexByte(text[c.at:], '}')
	if end < 0 {
		return c.fail(at, "{ without }: close the alternatives")
	}
	from := c.at
	seqs := strings.Split(text[from:from+end], ",")
	c.at += end + 1
	forkAt := len(c.p.prog)
	c.p.prog = append(c.p.prog, inst{op: fork})
	before := c.lengths
	least, most := MaxLen, 0
	var starts, jumps []uint16
	for _, seq := range seqs {
		if seq == "" {
			return c.fail(from, "an alternative is empty: write another rule for the number without it")
		}
		starts = append(starts, uint16(len(c.p.prog)))
		c.lengths = [2]int{}
		for i := range len(seq) {
			switch ch := seq[i]; {
			case ch == '?':
				c.emit(one, digits)
			case '0' <= ch && ch <= '9', ch == '+':
				c.literal(ch)
			default:
				return c.fail(from+i, fmt.Sprintf("%q cannot stand in alternatives: they have digits, ? and + alone", ch))
			}
		}
		least, most = min(least, c.lengths[0]), max(most, c.lengths[1])
		jumps = append(jumps, uint16(len(c.p.prog)))
		c.p.prog = append(c.p.prog, inst{op: jump})
		from += len(seq) + 1
	}
	behind := uint16(len(c.p.prog))
	c.p.prog[forkAt].to = starts
	for _, j := range jumps {
		c.p.prog[j].to = []uint16{behind}
	}
	c.lengths[0], c.lengths[1] = before[0]+least, min(before[1]+most, MaxLen)
	c.p.straight = false
	return nil
}
