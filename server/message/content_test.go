package message_test

import (
	"strings"
	"testing"
)

// RFC 3261 8.2.3: which bodies a UAS refuses.
func TestUnacceptable(t *testing.T) {
	for _, tt := range []struct{ name, lines, body, accepts, want string }{
		{"no body", "Content-Type: text/plain\n", "", "", ""},
		{"understood", "Content-Type: application/sdp\n", "v=0\n", "application/sdp", ""},
		{"in another case, with a parameter", "c: Application/SDP ;charset=utf-8\n", "v=0\n", "application/sdp", ""},
		{"another type", "Content-Type: text/plain\n", "hello\n", "application/sdp", "Accept: application/sdp"},
		{"several parts", "Content-Type: multipart/mixed;boundary=x\n", "--x\n", "application/sdp", "Accept: application/sdp"},
		{"no type", "", "hello\n", "application/sdp", "Accept: application/sdp"},
		{"nothing is understood", "Content-Type: application/sdp\n", "v=0\n", "", "Accept: "},
		{"optional", "Content-Type: text/plain\nContent-Disposition: render; x=y; Handling = Optional\n", "hello\n", "", ""},
		{"required", "Content-Type: text/plain\nContent-Disposition: render;handling=required\n", "hello\n", "", "Accept: "},
		{"required by default", "Content-Type: text/plain\nContent-Disposition: render\n", "hello\n", "", "Accept: "},
		{"encoded", "Content-Type: application/sdp\nContent-Encoding: gzip\n", "x", "application/sdp", "Accept-Encoding: identity"},
		{"encoded among others", "Content-Type: application/sdp\nContent-Encoding: identity, gzip\n", "x", "application/sdp", "Accept-Encoding: identity"},
		{"encoded as it is", "Content-Type: application/sdp\ne: identity\n", "v=0\n", "application/sdp", ""},
		{"encoded and optional", "Content-Encoding: gzip\nContent-Disposition: session;handling=optional\n", "x", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := index(t, crlf(line0+lines+tt.lines+"\n"+tt.body))
			var got []string
			for _, f := range m.Unacceptable(tt.accepts) {
				got = append(got, f.Name+": "+string(f.Value))
			}
			if s := strings.Join(got, "\n"); s != tt.want {
				t.Errorf("got %q, want %q", s, tt.want)
			}
		})
	}
}
