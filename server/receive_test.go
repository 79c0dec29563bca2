package server

import (
	"slices"
	"testing"

	"sipd/server/transport"
)

// TestAlias: which messages ask for their connection to be used for requests to their sender (RFC 5923 8.2).
func TestAlias(t *testing.T) {
	for _, tt := range []struct {
		name, first, via string
		from             transport.Flow
		want             []string
	}{
		{"a request over TLS", "OPTIONS sip:example.org SIP/2.0", "SIP/2.0/TLS a.example:5063;branch=z9hG4bKa;Alias", transport.Flow{Proto: transport.TLS, Conn: 7}, []string{"7 a.example 5063"}},
		{"without a port", "OPTIONS sip:example.org SIP/2.0", "SIP/2.0/TLS [2001:db8::1];alias;branch=z9hG4bKa", transport.Flow{Proto: transport.TLS, Conn: 7}, []string{"7 2001:db8::1 0"}},
		{"without alias", "OPTIONS sip:example.org SIP/2.0", "SIP/2.0/TLS a.example;branch=z9hG4bKalias", transport.Flow{Proto: transport.TLS, Conn: 7}, nil},
		{"in another Via", "OPTIONS sip:example.org SIP/2.0", "SIP/2.0/TLS a.example;branch=z9hG4bKa, SIP/2.0/TLS b.example;branch=z9hG4bKb;alias", transport.Flow{Proto: transport.TLS, Conn: 7}, nil},
		{"over TCP", "OPTIONS sip:example.org SIP/2.0", "SIP/2.0/TCP a.example;branch=z9hG4bKa;alias", transport.Flow{Proto: transport.TCP, Conn: 7}, nil},
		{"over UDP", "OPTIONS sip:example.org SIP/2.0", "SIP/2.0/UDP a.example;branch=z9hG4bKa;alias", transport.Flow{}, nil},
		{"a response", "SIP/2.0 200 OK", "SIP/2.0/TLS 10.0.0.1:5060;branch=z9hG4bKa;alias", transport.Flow{Proto: transport.TLS, Conn: 7}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, w := benchServer(t, nil, 0)
			out := s.net.NewOut()
			tt.from.Remote, tt.from.Local = aliceAddr, proxyAddr
			s.Receive(out, tt.from, []byte(tt.first+"\r\nVia: "+tt.via+"\r\nMax-Forwards: 70\r\nFrom: <sip:a@a.example>;tag=a\r\nTo: <sip:example.org>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"))
			out.Flush()
			if !slices.Equal(w.aliases, tt.want) {
				t.Errorf("got %q, want %q", w.aliases, tt.want)
			}
		})
	}
}
