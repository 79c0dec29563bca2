package auth_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sipd/config"
	"sipd/digest"
	"sipd/server/auth"
	"sipd/server/message"
	"sipd/store"
	"sipd/store/cache"
)

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const realm = "example.com"

// snapshot has alice with all algorithms under two names, bob with MD5 only, and example.net as another name of example.com.
func snapshot(t testing.TB, algorithms ...store.Algorithm) *cache.Snapshot {
	t.Helper()
	var creds []store.Credential
	add := func(user int64, name, pass string, algs ...store.Algorithm) {
		for _, a := range algs {
			creds = append(creds, store.Credential{UserID: user, Username: name, Realm: realm, Algorithm: a, HA1: digest.HA1(digest.Algorithm(a), name, realm, pass)})
		}
	}
	add(1, "alice", "wonder", store.MD5, store.SHA256, store.SHA512_256)
	add(1, "alice@example.com", "wonder", store.MD5, store.SHA256, store.SHA512_256)
	add(2, "bob", "builder", store.MD5)
	s, err := cache.Build(store.Tables{
		Domains:     []store.Domain{{ID: 1, Name: "example.com"}, {ID: 2, Name: "example.net", Canonical: "example.com"}, {ID: 3, Name: "example.org"}},
		Users:       []store.User{{ID: 1, Key: "alice@example.com", Realm: realm}, {ID: 2, Key: "bob@example.com", Realm: realm}},
		Credentials: creds,
	}, &config.Settings{DigestAlgorithms: algorithms, PrivateKey: [32]byte{1, 2, 3}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// request indexes a request with these extra header lines.
func request(t testing.TB, method, uri string, lines ...string) *message.Message {
	t.Helper()
	raw := method + " " + uri + " SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n" +
		"From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: c1\r\nCSeq: 1 " + method + "\r\n"
	for _, l := range lines {
		raw += l + "\r\n"
	}
	m := new(message.Message)
	if err := m.Index([]byte(raw + "Content-Length: 0\r\n\r\n")); err != nil {
		t.Fatalf("%v in %s", err, raw)
	}
	return m
}

// challenges returns the values of what Challenge writes.
func challenges(t testing.TB, v *auth.Verifier, s *cache.Snapshot, m *message.Message, uas, stale bool, now time.Time) (values []string) {
	t.Helper()
	want := "Proxy-Authenticate"
	if uas {
		want = "WWW-Authenticate"
	}
	for _, f := range v.Challenge(s, m, realm, uas, stale, now) {
		if f.Name != want {
			t.Errorf("got field %s, want %s", f.Name, want)
		}
		values = append(values, string(f.Value))
	}
	return values
}

func parse(t testing.TB, value string) digest.Challenge {
	t.Helper()
	c, err := digest.ParseChallenge(value)
	if err != nil {
		t.Fatalf("%s: %v", value, err)
	}
	return c
}

const uri = "sip:bob@example.com"

func TestVerify(t *testing.T) {
	s := snapshot(t, store.SHA256, store.MD5)
	v := auth.NewVerifier()
	ask := request(t, "INVITE", uri)
	values := challenges(t, v, s, ask, false, false, start)
	if len(values) != 2 {
		t.Fatalf("got %d challenges, want 2", len(values))
	}
	sha, md5 := parse(t, values[0]), parse(t, values[1])
	if sha.Algorithm != digest.SHA256 || md5.Algorithm != digest.MD5 || sha.Nonce != md5.Nonce {
		t.Fatalf("got %v, want SHA-256 before MD5 with one nonce", values)
	}
	foreign := digest.Challenge{Realm: "elsewhere.net", Nonce: "x", QOP: true}
	weak := md5
	weak.Algorithm = digest.SHA512256 // not offered
	fresh := func() digest.Challenge { return parse(t, challenges(t, v, s, ask, false, false, start)[1]) }
	noQOP := fresh()
	noQOP.QOP = false
	answer := func(c digest.Challenge, user, pass, method, uri string) string {
		return c.Answer(user, pass, method, uri, "cn", 1)
	}
	good := func() string { return answer(fresh(), "alice", "wonder", "INVITE", uri) }
	const PA, A = "Proxy-Authorization: ", "Authorization: "
	tests := []struct {
		name  string
		uas   bool
		uri   string
		lines []string
		want  auth.Verdict
	}{
		{"none", false, uri, nil, auth.None},
		{"MD5", false, uri, []string{PA + answer(md5, "alice", "wonder", "INVITE", uri)}, auth.Good},
		{"SHA-256, same nonce, next nc", false, uri, []string{PA + sha.Answer("alice", "wonder", "INVITE", uri, "cn", 2)}, auth.Good},
		{"user@domain as name", false, uri, []string{PA + answer(fresh(), "alice@example.com", "wonder", "INVITE", uri)}, auth.Good},
		{"without qop (RFC 2069)", false, uri, []string{PA + answer(noQOP, "alice", "wonder", "INVITE", uri)}, auth.Good},
		{"Authorization will do for a proxy", false, uri, []string{A + good()}, auth.Good},
		{"Proxy-Authorization is not for a UAS", true, uri, []string{PA + good()}, auth.None},
		{"Authorization for a UAS", true, uri, []string{A + good()}, auth.Good},
		{"ours among several", false, uri, []string{PA + answer(foreign, "alice", "x", "INVITE", uri), PA + good()}, auth.Good},
		{"bad before good", false, uri, []string{PA + answer(fresh(), "alice", "no", "INVITE", uri), PA + good()}, auth.Good},
		{"only somebody else's realm", false, uri, []string{PA + answer(foreign, "alice", "x", "INVITE", uri)}, auth.None},
		{"Basic", false, uri, []string{PA + "Basic YWxpY2U6d29uZGVy"}, auth.None},
		{"a name before the first challenge", true, uri, []string{A + `Digest username="alice", realm="example.com", nonce="", uri="sip:example.com", response=""`}, auth.None},
		{"wrong password", false, uri, []string{PA + answer(fresh(), "alice", "no", "INVITE", uri)}, auth.Bad},
		{"unknown name", false, uri, []string{PA + answer(fresh(), "mallory", "no", "INVITE", uri)}, auth.Bad},
		{"another method", false, uri, []string{PA + answer(fresh(), "alice", "wonder", "BYE", uri)}, auth.Bad},
		{"another user in the uri", false, uri, []string{PA + answer(fresh(), "alice", "wonder", "INVITE", "sip:carol@example.com")}, auth.Bad},
		{"another host in the uri", false, uri, []string{PA + answer(fresh(), "alice", "wonder", "INVITE", "sip:bob@example.org")}, auth.Bad},
		{"uri differs in text only", false, "sip:b%6fb@EXAMPLE.com:5060;transport=udp", []string{PA + good()}, auth.Good},
		{"uri with another name of the domain", false, "sip:bob@example.net", []string{PA + good()}, auth.Good},
		{"uri is none", false, uri, []string{PA + answer(fresh(), "alice", "wonder", "INVITE", "%%")}, auth.Bad},
		{"algorithm not offered", false, uri, []string{PA + answer(weak, "alice", "wonder", "INVITE", uri)}, auth.Bad},
		{"malformed", false, uri, []string{PA + `Digest username="alice", realm="example.com"`}, auth.Bad},
		{"not even a realm", false, uri, []string{PA + `Digest nonsense`}, auth.Bad},
		{"tel", false, "tel:+12129397000", []string{PA + answer(fresh(), "alice", "wonder", "INVITE", "tel:+1-212-939-7000")}, auth.Good},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := v.Verify(s, request(t, "INVITE", tt.uri, tt.lines...), realm, tt.uas, start.Add(time.Second))
			if f.Verdict != tt.want {
				t.Errorf("got verdict %d, want %d", f.Verdict, tt.want)
			}
			if known := f.User.Exists(); known != (tt.want == auth.Good) || known && f.User.Key != "alice@example.com" {
				t.Errorf("got user %v", f.User)
			}
		})
	}
}

// Only so many credentials of ours are computed for one request.
func TestVerifyBounded(t *testing.T) {
	s, v := snapshot(t, store.MD5), auth.NewVerifier()
	c := parse(t, challenges(t, v, s, request(t, "INVITE", uri), false, false, start)[0])
	var lines []string
	for range 10 {
		lines = append(lines, "Proxy-Authorization: "+c.Answer("alice", "guess", "INVITE", uri, "cn", 1))
	}
	lines = append(lines, "Proxy-Authorization: "+c.Answer("alice", "wonder", "INVITE", uri, "cn", 1))
	if f := v.Verify(s, request(t, "INVITE", uri, lines...), realm, false, start); f.Verdict != auth.Bad {
		t.Errorf("got verdict %d after ten guesses, want Bad", f.Verdict)
	}
}

func TestStale(t *testing.T) {
	s, v := snapshot(t, store.MD5), auth.NewVerifier()
	ask := request(t, "INVITE", uri)
	c := parse(t, challenges(t, v, s, ask, false, false, start)[0])
	verify := func(v *auth.Verifier, s *cache.Snapshot, c digest.Challenge, pass string, nc uint32, now time.Time) auth.Verdict {
		return v.Verify(s, request(t, "INVITE", uri, "Proxy-Authorization: "+c.Answer("alice", pass, "INVITE", uri, "cn", nc)), realm, false, now).Verdict
	}
	flip := func(at int) digest.Challenge {
		b := []byte(c.Nonce)
		b[at] ^= 1
		d := c
		d.Nonce = string(b)
		return d
	}
	other := *s.Settings
	other.PrivateKey[0]++
	rekeyed, err := cache.Build(store.Tables{Users: []store.User{{ID: 1, Key: "alice@example.com", Realm: realm}}, Domains: []store.Domain{{ID: 1, Name: "example.com"}},
		Credentials: []store.Credential{{UserID: 1, Username: "alice", Realm: realm, HA1: digest.HA1(digest.MD5, "alice", realm, "wonder")}}}, &other)
	if err != nil {
		t.Fatal(err)
	}
	short := c
	short.Nonce = "abc"
	steps := []struct {
		name string
		got  auth.Verdict
		want auth.Verdict
	}{
		{"just before the end of its life", verify(v, s, c, "wonder", 1, start.Add(5*time.Minute-time.Millisecond)), auth.Good},
		{"too old", verify(v, s, c, "wonder", 2, start.Add(5*time.Minute)), auth.Stale},
		{"too old and wrong", verify(v, s, c, "no", 3, start.Add(5*time.Minute)), auth.Bad},
		{"from the future", verify(v, s, c, "wonder", 4, start.Add(-time.Hour)), auth.Stale},
		{"replayed", verify(v, s, c, "wonder", 1, start.Add(time.Second)), auth.Stale},
		{"from before a restart", verify(auth.NewVerifier(), s, c, "wonder", 5, start), auth.Stale},
		{"from another key", verify(v, rekeyed, c, "wonder", 6, start), auth.Stale},
		{"time changed", verify(v, s, flip(0), "wonder", 7, start), auth.Stale},
		{"MAC changed", verify(v, s, flip(len(c.Nonce)-3), "wonder", 8, start), auth.Stale},
		{"not ours at all", verify(v, s, short, "wonder", 9, start), auth.Stale},
		{"and the real one still works", verify(v, s, c, "wonder", 10, start), auth.Good},
	}
	for _, st := range steps {
		if st.got != st.want {
			t.Errorf("%s: got verdict %d, want %d", st.name, st.got, st.want)
		}
	}
	if got := challenges(t, v, s, ask, false, true, start)[0]; !parse(t, got).Stale {
		t.Errorf("got %s, want stale=true", got)
	}
}

// nc may come out of order within 64, and never twice.
func TestNonceCount(t *testing.T) {
	s, v := snapshot(t, store.MD5), auth.NewVerifier()
	c := parse(t, challenges(t, v, s, request(t, "INVITE", uri), false, false, start)[0])
	for i, st := range []struct {
		nc   uint32
		want auth.Verdict
	}{
		{3, auth.Good}, {3, auth.Stale}, {1, auth.Good}, {2, auth.Good}, {2, auth.Stale}, {1, auth.Stale}, {66, auth.Good}, {3, auth.Stale}, {4, auth.Good},
		{67, auth.Good}, {4, auth.Stale}, {5, auth.Good}, {66, auth.Stale}, {1 << 30, auth.Good}, {68, auth.Stale}, {1<<32 - 1, auth.Good}, {1<<32 - 1, auth.Stale}, {1<<32 - 2, auth.Good},
	} {
		m := request(t, "INVITE", uri, "Proxy-Authorization: "+c.Answer("alice", "wonder", "INVITE", uri, "cn", st.nc))
		if got := v.Verify(s, m, realm, false, start).Verdict; got != st.want {
			t.Errorf("step %d, nc %d: got verdict %d, want %d", i, st.nc, got, st.want)
		}
	}
}

// Without qop there is no nc that tells a replay from the original.
func TestReplayWithoutQOP(t *testing.T) {
	s, v := snapshot(t, store.MD5), auth.NewVerifier()
	c := parse(t, challenges(t, v, s, request(t, "INVITE", uri), false, false, start)[0])
	c.QOP = false
	m := request(t, "INVITE", uri, "Proxy-Authorization: "+c.Answer("alice", "wonder", "INVITE", uri, "", 0))
	for i, want := range []auth.Verdict{auth.Good, auth.Stale, auth.Stale} {
		if got := v.Verify(s, m, realm, false, start).Verdict; got != want {
			t.Errorf("time %d: got verdict %d, want %d", i+1, got, want)
		}
	}
}

// However many workers see the same credentials, one takes them.
func TestReplayAtOnce(t *testing.T) {
	s, v := snapshot(t, store.MD5), auth.NewVerifier()
	c := parse(t, challenges(t, v, s, request(t, "INVITE", uri), false, false, start)[0])
	var good atomic.Int32
	var workers sync.WaitGroup
	for range 8 {
		workers.Go(func() {
			for nc := uint32(1); nc <= 50; nc++ {
				m := request(t, "INVITE", uri, "Proxy-Authorization: "+c.Answer("alice", "wonder", "INVITE", uri, "cn", nc))
				if v.Verify(s, m, realm, false, start).Verdict == auth.Good {
					good.Add(1)
				}
				v.Challenge(s, m, realm, false, false, start)
			}
		})
	}
	workers.Wait()
	if got := good.Load(); got != 50 {
		t.Errorf("got %d times Good, want 50", got)
	}
}

func TestNoRealm(t *testing.T) {
	s, v := snapshot(t, store.MD5), auth.NewVerifier()
	m := request(t, "INVITE", uri, `Proxy-Authorization: Digest username="alice", realm="", nonce="n", uri="sip:a", response="00000000000000000000000000000000"`)
	if got := v.Verify(s, m, "", false, start).Verdict; got != auth.None {
		t.Errorf("got verdict %d, want None", got)
	}
}

func TestChallengeAlgorithms(t *testing.T) {
	all := []store.Algorithm{store.SHA512_256, store.SHA256, store.MD5}
	wrong := func(user string) string {
		return fmt.Sprintf(`Authorization: Digest username="%s", realm="example.com", nonce="n", uri="sip:example.com", response="00000000000000000000000000000000"`, user)
	}
	from := func(who string) string { return "From: <sip:" + who + ">;tag=1" }
	tests := []struct {
		name string
		algs []store.Algorithm
		from string
		line string
		want string
	}{
		{"default", []store.Algorithm{store.MD5}, from("alice@example.com"), "", "MD5"},
		{"in order", all, from("alice@example.com"), "", "SHA-512-256 SHA-256 MD5"},
		{"imported hash", all, from("bob@example.com"), "", "MD5"},
		{"unknown name sees the whole list", all, from("zed@example.com"), "", "SHA-512-256 SHA-256 MD5"},
		{"no name", all, from("example.com"), "", "SHA-512-256 SHA-256 MD5"},
		{"the failed credentials count more", all, from("alice@example.com"), wrong("bob"), "MD5"},
		{"one that the list lacks", []store.Algorithm{store.SHA256, store.SHA512_256}, from("bob@example.com"), "", "SHA-256 SHA-512-256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := "INVITE sip:x@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n" + tt.from +
				"\r\nTo: <sip:x@example.com>\r\nCall-ID: c1\r\nCSeq: 1 INVITE\r\n"
			if tt.line != "" {
				raw += tt.line + "\r\n"
			}
			m := new(message.Message)
			if err := m.Index([]byte(raw + "\r\n")); err != nil {
				t.Fatal(err)
			}
			var got []string
			nonces := map[string]bool{}
			for _, value := range challenges(t, auth.NewVerifier(), snapshot(t, tt.algs...), m, true, false, start) {
				c := parse(t, value)
				got = append(got, c.Algorithm.String())
				nonces[c.Nonce] = true
				if c.Realm != realm || !c.QOP || c.Stale {
					t.Errorf("got %s", value)
				}
			}
			if s := strings.Join(got, " "); s != tt.want {
				t.Errorf("got %s, want %s", s, tt.want)
			}
			if len(nonces) != 1 {
				t.Errorf("got %d nonces, want 1", len(nonces))
			}
		})
	}
}

// A REGISTER is named by its To, also when a third party sends it.
func TestChallengeNamesTo(t *testing.T) {
	s := snapshot(t, store.SHA256, store.MD5)
	if got := challenges(t, auth.NewVerifier(), s, request(t, "REGISTER", "sip:example.com"), true, false, start); len(got) != 1 || !strings.Contains(got[0], "algorithm=MD5") {
		t.Errorf("got %v, want bob's MD5 alone", got)
	}
}

// RFC 3261 10.2: where third parties may register, From says who does.
func TestChallengeNamesThirdParty(t *testing.T) {
	s := snapshot(t, store.SHA256, store.MD5)
	m := request(t, "REGISTER", "sip:example.com")
	s.Settings.ThirdPartyReg = true
	if got := challenges(t, auth.NewVerifier(), s, m, true, false, start); len(got) != 2 {
		t.Errorf("got %v, want alice's SHA-256 and MD5", got)
	}
}

func TestNoncesDiffer(t *testing.T) {
	s, v := snapshot(t, store.MD5), auth.NewVerifier()
	seen := map[string]bool{}
	for range 1000 {
		n := parse(t, challenges(t, v, s, request(t, "INVITE", uri), false, false, start)[0]).Nonce
		if seen[n] {
			t.Fatalf("nonce %s twice", n)
		}
		seen[n] = true
	}
}

func TestVerifyAllocatesNothing(t *testing.T) {
	s, v := snapshot(t, store.MD5), auth.NewVerifier()
	c := parse(t, challenges(t, v, s, request(t, "INVITE", uri), false, false, start)[0])
	m := request(t, "INVITE", uri, "Proxy-Authorization: "+c.Answer("alice", "wonder", "INVITE", uri, "cn", 1))
	v.Verify(s, m, realm, false, start)
	if n := testing.AllocsPerRun(100, func() { // A replay does all the work too.
		if v.Verify(s, m, realm, false, start).Verdict != auth.Stale {
			t.Fatal("not stale")
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want 0", n)
	}
}

func BenchmarkVerify(b *testing.B) {
	s, v := snapshot(b, store.MD5), auth.NewVerifier()
	c := parse(b, challenges(b, v, s, request(b, "INVITE", uri), false, false, start)[0])
	m := request(b, "INVITE", uri, "Proxy-Authorization: "+c.Answer("alice", "wonder", "INVITE", uri, "cn", 1))
	b.ReportAllocs()
	for b.Loop() {
		v.Verify(s, m, realm, false, start)
	}
}

func BenchmarkChallenge(b *testing.B) {
	s, v := snapshot(b, store.MD5), auth.NewVerifier()
	m := request(b, "INVITE", uri)
	b.ReportAllocs()
	for b.Loop() {
		v.Challenge(s, m, realm, false, false, start)
	}
}
