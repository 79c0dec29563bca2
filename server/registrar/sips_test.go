package registrar_test

import (
	"strings"
	"testing"

	"sipd/server/registrar"
	"sipd/server/transport"
)

// RFC 5630 5.2: a sips contact is bound only when Request-URI, Contacts and Path are sips too, and came by TLS.
func TestSIPSContacts(t *testing.T) {
	const (
		sips    = "REGISTER sips:example.com SIP/2.0"
		secure  = "Contact: <sips:alice@192.0.2.9>"
		updated = "update alice@example.com sips:alice@192.0.2.9(3600)"
		path    = "Supported: path"
	)
	s := snapshot(t)
	for _, tt := range []struct {
		name  string
		proto transport.Proto
		lines []string
		want  string
	}{
		{"all of it", transport.TLS, []string{sips, secure}, updated},
		{"From and To may be sip", transport.TLS, []string{sips, secure, "From: <sip:alice@example.com>;tag=1"}, updated},
		{"a sip Request-URI", transport.TLS, []string{secure}, "400 A sips Contact Needs A sips Request-URI"},
		{"a sip contact beside", transport.TLS, []string{sips, secure + ", <sip:alice@192.0.2.10>"}, "400 sips And sip Contacts Cannot Be Registered Together"},
		{"a number beside", transport.TLS, []string{sips, "Contact: <tel:+12125550100>, <SIPS:alice@192.0.2.9>"}, "400 sips And sip Contacts Cannot Be Registered Together"},
		{"a sip contact that goes", transport.TLS, []string{sips, secure + ", <sip:alice@192.0.2.10>;expires=0"}, updated + " sip:alice@192.0.2.10(0)"},
		{"a Path", transport.TLS, []string{sips, secure, path, "Path: <sips:p1.example.com;lr>, <sips:p2.example.com;lr>"}, updated},
		{"a sip Path", transport.TLS, []string{sips, secure, path, "Path: <sips:p1.example.com;lr>, <sip:p2.example.com;lr>"}, "400 A sips Contact Needs sips URIs In Path"},
		{"over TCP", transport.TCP, []string{sips, secure}, "400 A sips Contact Is Registered Over TLS"},
		{"over UDP", transport.UDP, []string{sips, secure}, "400 A sips Contact Is Registered Over TLS"},
		{"going over UDP", transport.UDP, []string{secure + ";expires=0"}, strings.Replace(updated, "3600", "0", 1)},
		{"sip contacts over TLS", transport.TLS, []string{sips, "Contact: <sip:alice@192.0.2.9>"}, "update alice@example.com sip:alice@192.0.2.9(3600)"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := input(s, request(t, toAlice, tt.lines...), "alice@example.com")
			in.From.Proto = tt.proto
			if got := show(registrar.Decide(in)); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}
