package message

// span is a piece of a message. Offsets are 16 bit (MaxMessage), so that the facts Index finds are small and hold no
// pointers: copying a message copies numbers.
type span struct{ start, end uint16 }

func makeSpan(start, end int) span { return span{uint16(start), uint16(end)} }

func (s span) empty() bool { return s.start == s.end }

// of returns the piece, with no room behind it, so that nobody appends into the message.
func (s span) of(b []byte) []byte { return b[s.start:s.end:s.end] }

// opt returns the piece, nil when it is empty.
func (s span) opt(b []byte) []byte {
	if s.empty() {
		return nil
	}
	return s.of(b)
}
