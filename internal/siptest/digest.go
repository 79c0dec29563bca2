package siptest

import (
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"sipd/internal/siptest/flow"
)

// credentials answers the peer's last challenge (RFC 7616 3.4) as user:password. The words nc, nonce, alg, realm and uri of the step
// replace what the peer would take itself.
func (a *actor) credentials(s *flow.Step, who, method, uri string) (name, value string, err error) {
	user, password, _ := strings.Cut(who, ":")
	if password == "" {
		password = flow.DefaultPassword
	}
	if a.challenge == nil {
		return "", "", fmt.Errorf("%s has not been challenged yet", a.Name)
	}
	name, header := "Proxy-Authorization", "proxy-authenticate"
	if a.challenge.status == 401 {
		name, header = "Authorization", "www-authenticate"
	}
	var p map[string]string
	for _, c := range a.challenge.all(header) {
		q := challengeParams(c)
		if alg, ok := s.Words["alg"]; ok && !strings.EqualFold(q["algorithm"], alg) {
			continue
		}
		p = q
		break
	}
	if all := a.challenge.all(header); p == nil && len(all) > 0 { // Nobody has offered it.
		p = challengeParams(all[0])
		p["algorithm"] = s.Words["alg"]
	}
	if p == nil {
		return "", "", fmt.Errorf("the last %d of %s has no challenge", a.challenge.status, a.Name)
	}
	nonce, realm := p["nonce"], p["realm"]
	if n, ok := s.Words["nonce"]; ok {
		nonce = n
	}
	if r, ok := s.Words["realm"]; ok {
		realm = r
	}
	if u, ok := s.Words["uri"]; ok {
		uri = u
	}
	a.nonces[nonce]++
	nc := a.nonces[nonce]
	if n, ok := s.Words["nc"]; ok {
		if nc, err = strconv.Atoi(n); err != nil {
			return "", "", err
		}
	}
	h := hashOf(p["algorithm"])
	if h == nil {
		return "", "", fmt.Errorf("algorithm %q of the challenge is unknown", p["algorithm"])
	}
	const cnonce = "0a4f113b"
	ncText := fmt.Sprintf("%08x", nc)
	ha1 := h(user + ":" + realm + ":" + password)
	ha2 := h(method + ":" + uri)
	value = fmt.Sprintf(`Digest username="%s", realm="%s", nonce="%s", uri="%s"`, user, realm, nonce, uri)
	if p["algorithm"] != "" {
		value += ", algorithm=" + p["algorithm"]
	}
	if p["opaque"] != "" {
		value += fmt.Sprintf(`, opaque="%s"`, p["opaque"])
	}
	if p["qop"] != "" {
		value += fmt.Sprintf(`, qop=auth, nc=%s, cnonce="%s", response="%s"`, ncText, cnonce,
			h(ha1+":"+nonce+":"+ncText+":"+cnonce+":auth:"+ha2))
	} else {
		value += fmt.Sprintf(`, response="%s"`, h(ha1+":"+nonce+":"+ha2))
	}
	return name, value, nil
}

// hashOf returns the hash of a digest algorithm, nil when it is none of RFC 8760's.
func hashOf(algorithm string) func(string) string {
	switch strings.ToUpper(algorithm) {
	case "", "MD5":
		return func(s string) string { h := md5.Sum([]byte(s)); return hex.EncodeToString(h[:]) }
	case "SHA-256":
		return func(s string) string { h := sha256.Sum256([]byte(s)); return hex.EncodeToString(h[:]) }
	case "SHA-512-256":
		return func(s string) string { h := sha512.Sum512_256([]byte(s)); return hex.EncodeToString(h[:]) }
	}
	return nil
}

// challengeParams reads `Digest realm="...", nonce="..."`.
func challengeParams(s string) map[string]string {
	p := map[string]string{}
	_, rest, _ := strings.Cut(s, " ")
	for _, part := range splitCommas(rest) {
		name, value, _ := strings.Cut(part, "=")
		p[strings.ToLower(strings.TrimSpace(name))] = strings.Trim(strings.TrimSpace(value), `"`)
	}
	return p
}
