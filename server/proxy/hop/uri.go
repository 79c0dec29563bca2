package hop

import (
	"bytes"
	"strings"

	"sipd/server/message"
	"sipd/sipaddr"
)

// IsSIPS tells whether a URI is a sips URI.
func IsSIPS(uri string) bool { return len(uri) > 5 && strings.EqualFold(uri[:5], "sips:") }

// CleanRequestURI makes a Request-URI of the URI from at on: without headers and the method parameter, which must not stand there
// (16.6 step 2, 19.1.1).
func CleanRequestURI(dst []byte, at int) []byte {
	u, err := sipaddr.Parse(dst[at:])
	if err != nil {
		return dst
	}
	if n := len(u.Headers); n > 0 {
		dst = dst[:len(dst)-n-len("?")]
	}
	if _, ok := u.Param("method"); !ok {
		return dst
	}
	params := bytes.Split(bytes.Clone(u.Params), []byte(";"))
	dst = dst[:len(dst)-len(u.Params)]
	for _, param := range params {
		if name, _, _ := bytes.Cut(param, []byte("=")); len(param) > 0 && !bytes.EqualFold(name, []byte("method")) {
			dst = append(append(dst, ';'), param...)
		}
	}
	return dst
}

// RouteURI returns a Route value from its URI on.
func RouteURI(value string) string {
	if len(value) > 0 && value[0] == '<' {
		return value[1:]
	}
	a, err := message.ParseAddress([]byte(value))
	if err != nil {
		return ""
	}
	return string(a.URI.Text)
}
