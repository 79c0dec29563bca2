package pattern

import (
	"fmt"
	"strings"
)

// MaxTarget is how many bytes a target may have.
const MaxTarget = 512

// Target is where a rule leads to: the text of a URI in which $ stands for what the pattern has kept.
type Target struct {
	parts []string // what is between the dollars
}

// ParseTarget reads a target. Only its length and characters are checked here; whether it is a URI depends on what $ becomes.
func ParseTarget(text string) (Target, error) {
	fail := func(at int, what string) (Target, error) {
		return Target{}, &Error{Text: text, Column: at + 1, What: what}
	}
	switch {
	case text == "":
		return fail(0, "a target cannot be empty: write a URI, as in sip:$@gw.example.com")
	case len(text) > MaxTarget:
		return fail(MaxTarget, fmt.Sprintf("a target has at most %d characters", MaxTarget))
	}
	for i := range len(text) {
		if c := text[i]; c <= ' ' || c >= 0x7f || strings.IndexByte("\"<>\\^`{|}", c) >= 0 {
			return fail(i, fmt.Sprintf("%q cannot stand in a URI: escape it as %%%02X", c, c))
		}
	}
	return Target{parts: strings.Split(text, "$")}, nil
}

// String returns the target as it was written.
func (t Target) String() string { return strings.Join(t.parts, "$") }

// Append appends the target with kept in the place of each $. A # is escaped: no part of a sip URI may have one (RFC 3261 25.1).
func (t Target) Append(dst, kept []byte) []byte {
	for i, part := range t.parts {
		if i > 0 {
			for _, c := range kept {
				if c == '#' {
					dst = append(dst, "%23"...)
				} else {
					dst = append(dst, c)
				}
			}
		}
		dst = append(dst, part...)
	}
	return dst
}

// Strip appends number without its visual separators, - . ( ) and blanks (RFC 3966 5.1.1): what patterns are matched against.
func Strip(dst, number []byte) []byte {
	for _, c := range number {
		if c != '-' && c != '.' && c != '(' && c != ')' && c != ' ' && c != '\t' {
			dst = append(dst, c)
		}
	}
	return dst
}
