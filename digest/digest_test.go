package digest_test

import (
	"errors"
	"strings"
	"testing"

	"sipd/digest"
)

// The examples of the RFCs: what is in the request is taken and verifies, and the client side writes the same response.
func TestVectors(t *testing.T) {
	const (
		nonce7616  = "7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v"
		cnonce7616 = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ"
	)
	tests := []struct {
		name                       string
		method, user, realm, pass  string
		uri, nonce, cnonce, answer string
		alg                        digest.Algorithm
		qop                        bool
	}{
		{"RFC 2617 3.5", "GET", "Mufasa", "testrealm@host.com", "Circle Of Life", "/dir/index.html",
			"dcd98b7102dd2f0e8b11d0f600bfb0c093", "0a4f113b", "6629fae49393a05397450978507c4ef1", digest.MD5, true},
		{"RFC 2069 2.4 with its erratum", "GET", "Mufasa", "testrealm@host.com", "CircleOfLife", "/dir/index.html",
			"dcd98b7102dd2f0e8b11d0f600bfb0c093", "", "1949323746fe6a43ef61f9606e7febea", digest.MD5, false},
		{"RFC 7616 3.9.1 MD5", "GET", "Mufasa", "http-auth@example.org", "Circle of Life", "/dir/index.html",
			nonce7616, cnonce7616, "8ca523f5e9506fed4657c9700eebdbec", digest.MD5, true},
		{"RFC 7616 3.9.1 SHA-256", "GET", "Mufasa", "http-auth@example.org", "Circle of Life", "/dir/index.html",
			nonce7616, cnonce7616, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1", digest.SHA256, true},
		// RFC 7616 3.9.2 prints ae66e67d..., which erratum 4897 replaces by this value.
		{"RFC 7616 3.9.2 SHA-512-256", "GET", "J\u00e4s\u00f8n Doe", "api@example.org", "Secret, or not?", "/doe.json",
			"5TsQWLVdgBdmrQ0XsxbDODV+57QdFR34I9HAbC/RVvkK", "NTg6RKcb9boFIAS3KrFK9BGeh+iDa/sm6jUMp2wds69v",
			"3798d4131c277846293534c3edc11bd8a5e4cdcbff78b05db9d95eeb1cec68a5", digest.SHA512256, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := digest.Challenge{Realm: tt.realm, Nonce: tt.nonce, Algorithm: tt.alg, QOP: tt.qop}
			header := c.Answer(tt.user, tt.pass, tt.method, tt.uri, tt.cnonce, 1)
			if want := `response="` + tt.answer + `"`; !strings.Contains(header, want) {
				t.Errorf("got %s, want %s in it", header, want)
			}
			var cr digest.Credentials
			if err := cr.Parse([]byte(header)); err != nil {
				t.Fatalf("Parse(%s): %v", header, err)
			}
			if string(cr.Username) != tt.user || string(cr.Realm) != tt.realm || string(cr.URI) != tt.uri || cr.QOP != tt.qop || cr.Algorithm != tt.alg {
				t.Errorf("got %+v of %s", cr, header)
			}
			ha1 := digest.HA1(tt.alg, tt.user, tt.realm, tt.pass)
			if !cr.Verify([]byte(ha1), []byte(tt.method)) {
				t.Error("Verify: got false, want true")
			}
			if cr.Verify([]byte(ha1), []byte("POST")) {
				t.Error("Verify with another method: got true, want false")
			}
			if cr.Verify([]byte(digest.HA1(tt.alg, tt.user, tt.realm, "wrong")), []byte(tt.method)) {
				t.Error("Verify with another password: got true, want false")
			}
		})
	}
}

// The request of RFC 2617 3.5 as printed, folded lines included.
func TestVerifyAsPrinted(t *testing.T) {
	header := "Digest username=\"Mufasa\",\r\n realm=\"testrealm@host.com\",\r\n nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\",\r\n" +
		" uri=\"/dir/index.html\",\r\n qop=auth,\r\n nc=00000001,\r\n cnonce=\"0a4f113b\",\r\n" +
		" response=\"6629fae49393a05397450978507c4ef1\",\r\n opaque=\"5ccc069c403ebaf9f0171e9517f40e41\""
	var c digest.Credentials
	if err := c.Parse([]byte(header)); err != nil {
		t.Fatal(err)
	}
	if c.Count != 1 || string(c.Opaque) != "5ccc069c403ebaf9f0171e9517f40e41" {
		t.Errorf("got nc %d opaque %s", c.Count, c.Opaque)
	}
	if !c.Verify([]byte("939e7578ed9e3c518a452acee763bce9"), []byte("GET")) { // H(A1) of the example
		t.Error("got false, want true")
	}
}

func TestParse(t *testing.T) {
	const rest = `realm="r", nonce="n", uri="sip:a", response="00000000000000000000000000000000"`
	tests := []struct {
		name, header string
		user         string // "" for an error
		err          string
	}{
		{"plain", `Digest username="u", ` + rest, "u", ""},
		{"scheme in any case, names too", `dIgEsT USERNAME="u", ` + rest, "u", ""},
		{"empty list elements", `Digest ,, username="u",, ` + rest + " ,", "u", ""},
		{"space around =", `Digest username = "u" , ` + rest, "u", ""},
		{"escapes", `Digest username="a\"b\\c", ` + rest, `a"b\c`, ""},
		{"comma and quote inside", `Digest username="a,realm=\"x\"", ` + rest, `a,realm="x"`, ""},
		{"unknown parameters", `Digest foo=bar, baz="1,2", username="u", ` + rest, "u", ""},
		{"quoted qop (RFC 3665)", `Digest username="u", qop="auth", nc=1, cnonce="c", ` + rest, "u", ""},
		{"quoted algorithm", `Digest username="u", algorithm="md5", ` + rest, "u", ""},
		{"nc without qop is nothing", `Digest username="u", nc=zz, ` + rest, "u", ""},
		{"userhash=false", `Digest username="u", userhash=false, ` + rest, "u", ""},

		{"Basic", `Basic QWxhZGRpbg==`, "", "scheme"},
		{"nothing", ``, "", "scheme"},
		{"Digestion", `Digestion username="u", ` + rest, "", "scheme"},
		{"no parameters", `Digest`, "", "are needed"},
		{"twice", `Digest username="u", username="v", ` + rest, "", "twice"},
		{"open quote", `Digest username="u, realm=r`, "", "list of"},
		{"open quote at a backslash", `Digest username="u\`, "", "list of"},
		{"no value", `Digest username=, ` + rest, "", "list of"},
		{"no =", `Digest username, ` + rest, "", "list of"},
		{"no comma", `Digest username="u" ` + rest, "", "list of"},
		{"two credentials in one line", `Digest username="u", ` + rest + `, Digest username="u"`, "", "list of"},
		{"too many", `Digest ` + strings.Repeat("a=b,", 40) + `username="u", ` + rest, "", "too many"},
		{"MD5-sess", `Digest username="u", algorithm=MD5-sess, ` + rest, "", "algorithm"},
		{"auth-int", `Digest username="u", qop=auth-int, nc=1, cnonce="c", ` + rest, "", "qop"},
		{"qop without nc", `Digest username="u", qop=auth, cnonce="c", ` + rest, "", "nc"},
		{"qop without cnonce", `Digest username="u", qop=auth, nc=1, ` + rest, "", "cnonce"},
		{"nc 0", `Digest username="u", qop=auth, nc=00000000, cnonce="c", ` + rest, "", "nc"},
		{"nc of nine digits", `Digest username="u", qop=auth, nc=000000001, cnonce="c", ` + rest, "", "nc"},
		{"nc in no hex", `Digest username="u", qop=auth, nc=0000000g, cnonce="c", ` + rest, "", "nc"},
		{"userhash", `Digest username="u", userhash=true, ` + rest, "", "userhash"},
		{"username*", `Digest username*=UTF-8''J%C3%A4s%C3%B8n, ` + rest, "", "userhash"},
		{"response too short for the algorithm", `Digest username="u", algorithm=SHA-256, ` + rest, "", "hex digits"},
		{"response in no hex", `Digest username="u", realm="r", nonce="n", uri="sip:a", response="0000000000000000000000000000000x"`, "", "hex digits"},
		{"before the first challenge", `Digest username="u", realm="r", nonce="", uri="sip:a", response=""`, "", "no challenge"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var c digest.Credentials
			err := c.Parse([]byte(tt.header))
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Fatalf("got error %v, want one about %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatalf("got error %v, want none", err)
			}
			if string(c.Username) != tt.user || string(c.Realm) != "r" || string(c.Nonce) != "n" {
				t.Errorf("got username %q realm %q nonce %q, want %q r n", c.Username, c.Realm, c.Nonce, tt.user)
			}
		})
	}
	var c digest.Credentials
	if err := c.Parse([]byte("Basic QQ==")); !errors.Is(err, digest.ErrScheme) {
		t.Errorf("Basic: got %v, want ErrScheme", err)
	}
	if err := c.Parse([]byte(`Digest username="u", realm="r", nonce="", uri="s", response=""`)); !errors.Is(err, digest.ErrEmpty) || string(c.Realm) != "r" {
		t.Errorf("empty: got %v realm %q, want ErrEmpty and r", err, c.Realm)
	}
}

// A response that differs in one digit, wherever it is, is refused.
func TestVerifyEveryDigit(t *testing.T) {
	for _, alg := range []digest.Algorithm{digest.MD5, digest.SHA256, digest.SHA512256} {
		c := digest.Challenge{Realm: "r", Nonce: "n", Algorithm: alg, QOP: true}
		header := []byte(c.Answer("u", "p", "INVITE", "sip:b@r", "c", 7))
		at := strings.Index(string(header), `response="`) + len(`response="`)
		ha1 := digest.HA1(alg, "u", "r", "p")
		var cr digest.Credentials
		for i := at; i < at+2*alg.Size(); i++ {
			was := header[i]
			header[i] = '0'
			if was == '0' {
				header[i] = '1'
			}
			if err := cr.Parse(header); err != nil {
				t.Fatal(err)
			}
			if cr.Verify([]byte(ha1), []byte("INVITE")) {
				t.Errorf("%v: digit %d changed: got true, want false", alg, i-at)
			}
			header[i] = was
		}
		upper := strings.ToUpper(string(header[at : at+2*alg.Size()]))
		if err := cr.Parse([]byte(string(header[:at]) + upper + string(header[at+2*alg.Size():]))); err != nil || !cr.Verify([]byte(ha1), []byte("INVITE")) {
			t.Errorf("%v: response in upper case is refused", alg)
		}
	}
}

func TestChallenge(t *testing.T) {
	got := string(digest.AppendChallenge([]byte("x "), digest.SHA256, `a"b\c`, "n1", true))
	want := `x Digest realm="a\"b\\c", nonce="n1", algorithm=SHA-256, qop="auth", stale=true`
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	c, err := digest.ParseChallenge(got[2:])
	if err != nil {
		t.Fatal(err)
	}
	if c != (digest.Challenge{Realm: `a"b\c`, Nonce: "n1", Algorithm: digest.SHA256, QOP: true, Stale: true}) {
		t.Errorf("got %+v", c)
	}
	c, err = digest.ParseChallenge(`Digest realm="r", qop="auth-int,auth", nonce="n", opaque="", stale=FALSE`)
	if err != nil || c != (digest.Challenge{Realm: "r", Nonce: "n", HasOpaque: true, QOP: true}) {
		t.Errorf("got %+v, %v", c, err)
	}
	for _, bad := range []string{`Basic realm="r"`, `Digest realm="r"`, `Digest nonce="n", qop="auth-int"`, `Digest nonce="n", algorithm=SHA-1`, `Digest nonce="n`} {
		if _, err := digest.ParseChallenge(bad); err == nil {
			t.Errorf("%s: got no error", bad)
		}
	}
}

func TestAuthorize(t *testing.T) {
	challenge := string(digest.AppendChallenge(nil, digest.MD5, "example.com", "abc", false))
	header, err := digest.Authorize(challenge, `al"ice`, "secret", "REGISTER", "sip:example.com")
	if err != nil {
		t.Fatal(err)
	}
	var c digest.Credentials
	if err := c.Parse([]byte(header)); err != nil {
		t.Fatalf("%s: %v", header, err)
	}
	if !c.Verify([]byte(digest.HA1(digest.MD5, `al"ice`, "example.com", "secret")), []byte("REGISTER")) {
		t.Errorf("%s does not verify", header)
	}
	if _, err := digest.Authorize("Basic", "a", "b", "c", "d"); !errors.Is(err, digest.ErrScheme) {
		t.Errorf("got %v, want ErrScheme", err)
	}
}

func TestAlgorithm(t *testing.T) {
	for _, a := range []digest.Algorithm{digest.MD5, digest.SHA256, digest.SHA512256} {
		if got, ok := digest.ParseAlgorithm(strings.ToLower(a.String())); !ok || got != a {
			t.Errorf("%v: got %v %v", a, got, ok)
		}
		if got := len(digest.HA1(a, "u", "r", "p")); got != 2*a.Size() {
			t.Errorf("%v: HA1 has %d digits, want %d", a, got, 2*a.Size())
		}
	}
	if s := digest.Algorithm(9).String(); s != "unknown" {
		t.Errorf("got %q", s)
	}
}

var sample = func() []byte {
	c := digest.Challenge{Realm: "example.com", Nonce: strings.Repeat("n", 32), QOP: true}
	return []byte(c.Answer("alice", "secret", "INVITE", "sip:bob@example.com", "0a4f113b", 1))
}()

func TestNoAllocation(t *testing.T) {
	for _, alg := range []digest.Algorithm{digest.MD5, digest.SHA256, digest.SHA512256} {
		ch := digest.Challenge{Realm: "example.com", Nonce: strings.Repeat("n", 32), QOP: true, Algorithm: alg}
		header, method := []byte(ch.Answer("alice", "secret", "INVITE", "sip:bob@example.com", "0a4f113b", 1)), []byte("INVITE")
		ha1 := digest.HA1(alg, "alice", "example.com", "secret")
		var c digest.Credentials
		if n := testing.AllocsPerRun(100, func() {
			if c.Parse(header) != nil || !c.Verify([]byte(ha1), method) {
				t.Fatal("not verified")
			}
		}); n != 0 {
			t.Errorf("%v: got %v allocations, want 0", alg, n)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	ha1, method := digest.HA1(digest.MD5, "alice", "example.com", "secret"), []byte("INVITE")
	var c digest.Credentials
	b.ReportAllocs()
	for b.Loop() {
		if c.Parse(sample) != nil || !c.Verify([]byte(ha1), method) {
			b.Fatal("not verified")
		}
	}
}

// What parses names what it needs, keeps within the header, and means the same when it is written again.
func FuzzCredentials(f *testing.F) {
	f.Add(sample)
	f.Add([]byte(`Digest username="a\"b", realm="", nonce="n", uri="", response="00000000000000000000000000000000", qop="auth", nc=1, cnonce=""`))
	f.Add([]byte("Digest username=u\r\n\t, realm=r,nonce=n,uri=u,response=0123456789abcdef0123456789abcdef"))
	f.Add([]byte(`Digest username="\`))
	f.Fuzz(func(t *testing.T, header []byte) {
		var c digest.Credentials
		if err := c.Parse(header); err != nil {
			return
		}
		if c.Username == nil || c.Realm == nil || len(c.Nonce) == 0 || c.URI == nil || c.QOP != (c.NC != nil) || c.QOP && c.Count == 0 {
			t.Fatalf("got %+v of %q", c, header)
		}
		c.Verify([]byte("00000000000000000000000000000000"), []byte("INVITE"))
		ch := digest.Challenge{Realm: string(c.Realm), Nonce: string(c.Nonce), Algorithm: c.Algorithm, QOP: c.QOP}
		again := ch.Answer(string(c.Username), "p", "INVITE", string(c.URI), string(c.CNonce), max(c.Count, 1))
		var d digest.Credentials
		if err := d.Parse([]byte(again)); err != nil {
			t.Fatalf("written again as %q: %v", again, err)
		}
		if string(d.Username) != string(c.Username) || string(d.Realm) != string(c.Realm) || string(d.URI) != string(c.URI) || d.Count != c.Count {
			t.Fatalf("got %+v, want %+v", d, c)
		}
		if !d.Verify([]byte(digest.HA1(c.Algorithm, string(c.Username), string(c.Realm), "p")), []byte("INVITE")) {
			t.Fatalf("%q does not verify", again)
		}
	})
}
