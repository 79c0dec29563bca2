package config

import (
	"strings"
	"testing"
)

// TestUselessTLS: settings of TLS that would do nothing are mistakes.
func TestUselessTLS(t *testing.T) {
	for _, tt := range []struct {
		name string
		in   []Value
		want string // in the error; "" is none
	}{
		{"authorities without a certificate", set("TLSClientCA", "ca.pem"), "TLSClientCA: is of no use without a certificate of our own; write TLSCertificate and TLSKey"},
		{"authorities with one", set("TLSClientCA", "ca.pem", "TLSCertificate", "a.pem", "TLSKey", "b.pem"), ""},
		{"a certificate without its key", set("TLSCertificate", "a.pem"), "TLSCertificate: is of no use without TLSKey"},
		{"a key without its certificate", set("TLSKey", "b.pem"), "TLSKey: is of no use without TLSCertificate"},
	} {
		_, err := Build(tt.in)
		if got := err != nil; got != (tt.want != "") || got && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q in it", tt.name, err, tt.want)
		}
	}
}
