package message_test

import (
	"net/netip"
	"strings"
	"testing"

	"sipd/server/message"
)

var (
	source = netip.MustParseAddrPort("203.0.113.7:40961")
	none   netip.AddrPort
)

// crlf makes a message of a text written with plain line ends.
func crlf(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "\r\n")) }

// index indexes a message that must be well-formed.
func index(t testing.TB, raw []byte) *message.Message {
	t.Helper()
	m := new(message.Message)
	if err := m.Index(raw); err != nil {
		t.Fatalf("index %q: %v", raw, err)
	}
	return m
}

func is[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func text(b []byte) string { return string(b) }

func address(t testing.TB, value []byte) *message.Address {
	t.Helper()
	a, err := message.ParseAddress(value)
	if err != nil {
		t.Fatalf("parse %q: %v", value, err)
	}
	return &a
}

func values(m *message.Message, id message.HeaderID) string {
	var all []string
	for v := m.Values(id); ; {
		text, ok := v.Next()
		if !ok {
			return strings.Join(all, " | ")
		}
		all = append(all, string(text))
	}
}

func vias(m *message.Message) string {
	var all []string
	m.Vias(func(v *message.ViaValue) bool {
		all = append(all, string(v.Transport)+" "+string(v.Host)+" "+string(v.Branch))
		return true
	})
	return strings.Join(all, ", ")
}

func addrPort(s string) netip.AddrPort { return netip.MustParseAddrPort(s) }

// reasonPhrase tells whether a text can stand in a status line (RFC 3261 25.1): reserved, unreserved, space.
func reasonPhrase(s string) bool {
	for _, c := range []byte(s) {
		if !strings.ContainsRune(";/?:@&=+$,-_.!~*'() ", rune(c)) && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return s != ""
}
