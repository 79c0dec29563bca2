package config

import (
	"crypto/sha256"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/store"
)

func set(pairs ...string) []Value {
	var values []Value
	for i := 0; i < len(pairs); i += 2 {
		values = append(values, Value{Name: pairs[i], Args: []string{pairs[i+1]}, Source: "--set"})
	}
	return values
}

func TestDefaults(t *testing.T) {
	s, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name      string
		got, want any
	}{
		{"AdminListen", s.AdminListen, "127.0.0.1:8060"},
		{"AuthMethod", s.AuthMethod, AuthDigest},
		{"DigestAlgorithms", s.DigestAlgorithms, []store.Algorithm{store.MD5}},
		{"DefaultReg", s.DefaultReg, store.Proxy},
		{"AmbiguousStatus", s.AmbiguousStatus, 485},
		{"DisplayAmbiguous", s.DisplayAmbiguous, false},
		{"RecordRoute", s.RecordRoute, true},
		{"RateLimit", s.RateLimit, true},
		{"ForkOnTimeout", s.ForkOnTimeout, "add"},
		{"TimeOut", s.TimeOut, 30 * time.Second},
		{"Expires", s.Expires, time.Hour},
		{"MinExpires", s.MinExpires, time.Minute},
		{"MaxExpires", s.MaxExpires, 2 * time.Hour},
		{"MaxContacts", s.MaxContacts, 20},
		{"RequestLog", s.RequestLog, "sql"},
		{"Refresh", s.Refresh, 15 * time.Minute},
		{"TryStateless", s.TryStateless, false},
		{"HelpResolve", s.HelpResolve, false},
		{"ProxyRecursion", s.ProxyRecursion, false},
		{"ListenDefault", s.ListenDefault, true},
		{"Listen", s.Listen, []Listen{
			{"udp", netip.MustParseAddrPort("0.0.0.0:5060")}, {"tcp", netip.MustParseAddrPort("0.0.0.0:5060")},
			{"udp", netip.MustParseAddrPort("[::]:5060")}, {"tcp", netip.MustParseAddrPort("[::]:5060")}}},
	} {
		if !reflect.DeepEqual(c.got, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, c.got, c.want)
		}
	}
	if s.PrivateKey == [32]byte{} {
		t.Error("PrivateKey: got zeros, want a random key")
	}
	again, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if again.PrivateKey != s.PrivateKey {
		t.Error("a reload changed the random PrivateKey: every nonce would be stale")
	}
}

// Each default as written in the table of names must give what Build makes without it.
func TestDefaultsAsWritten(t *testing.T) {
	want, err := New(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	var written []Value
	for _, n := range Names() {
		if d := Default(n); d != "" && n != "Port" {
			written = append(written, Value{Name: n, Args: []string{d}, Source: "defaults"})
		}
	}
	got, err := Build(written)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []*Settings{got, want} {
		s.Values, s.Sources, s.Notes, s.ListenDefault = nil, nil, nil, false
	}
	slices.SortFunc(got.Listen, func(a, b Listen) int { return strings.Compare(a.String(), b.String()) })
	slices.SortFunc(want.Listen, func(a, b Listen) int { return strings.Compare(a.String(), b.String()) })
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestBuild(t *testing.T) {
	tests := []struct {
		name string
		in   []Value
		got  func(*Settings) any
		want any
	}{
		{"any case", set("defaultreg", "Redirect"), func(s *Settings) any { return s.DefaultReg }, store.Redirect},
		{"seconds", set("TimeOut", "45"), func(s *Settings) any { return s.TimeOut }, 45 * time.Second},
		{"minutes", set("Expires", "15m"), func(s *Settings) any { return s.Expires }, 15 * time.Minute},
		{"whole milliseconds", set("TimeOut", "2000ms"), func(s *Settings) any { return s.TimeOut }, 2 * time.Second},
		{"days raise the unwritten maximum", set("Expires", "2d"), func(s *Settings) any { return s.MaxExpires }, 48 * time.Hour},
		{"short Expires lowers the unwritten minimum", set("Expires", "5"), func(s *Settings) any { return s.MinExpires }, 5 * time.Second},
		{"MaxExpires lowers the unwritten Expires", set("MaxExpires", "600"), func(s *Settings) any { return s.Expires }, 10 * time.Minute},
		{"private key", set("PrivateKey", "k"), func(s *Settings) any { return s.PrivateKey }, sha256.Sum256([]byte("k"))},
		{"algorithms in order", set("DigestAlgorithms", "sha-256, md5"), func(s *Settings) any { return s.DigestAlgorithms },
			[]store.Algorithm{store.SHA256, store.MD5}},
		{"one listener a value", set("Listen", "udp:127.0.0.1:5070", "Listen", "tcp:[::1]:5070"),
			func(s *Settings) any { return s.Listen }, []Listen{{"udp", netip.MustParseAddrPort("127.0.0.1:5070")}, {"tcp", netip.MustParseAddrPort("[::1]:5070")}}},
		{"a list of listeners, default port", set("Listen", "udp:127.0.0.1, UDP:[::1]"),
			func(s *Settings) any { return s.Listen }, []Listen{{"udp", netip.MustParseAddrPort("127.0.0.1:5060")}, {"udp", netip.MustParseAddrPort("[::1]:5060")}}},
		{"port", set("Port", "5080"), func(s *Settings) any { return s.Listen[3].String() }, "tcp:[::]:5080"},
		{"listeners win over Port", set("Port", "5080", "Listen", "udp:127.0.0.1:1"), func(s *Settings) any { return len(s.Listen) }, 1},
		{"networks", set("LocalNets", "10.1.2.3/8 192.0.2.1,2001:db8::/32"), func(s *Settings) any { return s.LocalNets },
			[]netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32")}},
		{"next hops", set("AllowedNextHops", "127.0.0.1:5080, 169.254.1.9/16 [fe80::/10]:5060,::1 [::1] 224.0.1.75", "AllowedNextHops", "10.0.0.0/8:5070"),
			func(s *Settings) any { return fmt.Sprint(s.AllowedNextHops) }, "[127.0.0.1:5080 169.254.0.0/16 [fe80::/10]:5060 ::1 ::1 224.0.1.75 10.0.0.0/8:5070]"},
		{"numeric Via", nil, func(s *Settings) any { return s.ViaName }, ""},
		{"the name of the server in Via", set("ServerName", "sip.Example.com", "NumericVia", "false"), func(s *Settings) any { return s.ViaName }, "sip.example.com"},
		{"ServerName alone", set("ServerName", "sip.example.com"), func(s *Settings) any { return s.ViaName }, ""},
		{"ProxyName before ServerName", set("ServerName", "sip.example.com", "NumericVia", "false", "ProxyName", "edge.example.com"), func(s *Settings) any { return s.ViaName }, "edge.example.com"},
		{"ProxyName alone", set("ProxyName", "edge.example.com"), func(s *Settings) any { return s.ViaName }, "edge.example.com"},
		{"ProxyName is an IPv6 address", set("ProxyName", "[2001:DB8::0:1]"), func(s *Settings) any { return s.ViaName }, "2001:db8::1"},
		{"a name in Via, told", set("ServerName", "sip.example.com", "NumericVia", "false"), func(s *Settings) any { return strings.Join(s.Notes, "\n") + "\n" },
			"PrivateKey is not set: a random one serves until the next start; `sipd db migrate` makes one that stays\n--set: NumericVia false: telephones and servers must find us by the name sip.example.com\n"},
		{"no log", set("RequestLog", "none"), func(s *Settings) any { return s.RequestLog }, "none"},
		{"404 hides ambiguity", set("DisplayAmbiguous", "404"), func(s *Settings) any { return s.AmbiguousStatus }, 404},
		{"names in lower case", set("ServerName", "CS.Columbia.edu."), func(s *Settings) any { return s.ServerName }, "cs.columbia.edu"},
		{"off", set("RateLimit", "off"), func(s *Settings) any { return s.RateLimit }, false},
		{"HelpResolve", set("HelpResolve", "true"), func(s *Settings) any { return s.HelpResolve }, true},
		{"ProxyRecursion", set("ProxyRecursion", "yes"), func(s *Settings) any { return s.ProxyRecursion }, true},
		{"debug", set("Debug", "sql,net sql"), func(s *Settings) any { return s.Debug }, []string{"sql", "net"}},
		{"not acted on, kept", set("MediaRelay", "always"), func(s *Settings) any { return s.Values["MediaRelay"] }, []string{"always"}},
		{"a certificate and no listener, told", set("Listen", "tcp:0.0.0.0:5060", "TLSCertificate", "a.pem", "TLSKey", "b.pem"), func(s *Settings) any { return s.Notes[len(s.Notes)-1] }, "TLSCertificate has no effect: Listen names no tls:ADDR:5061"},
		{"not acted on, told", set("MediaRelay", "always"), func(s *Settings) any { return s.Notes[0] }, "--set: MediaRelay is accepted; this version does not act on it"},
		{"no authentication", set("AuthMethod", "none"), func(s *Settings) any { return s.AuthMethod }, AuthNone},
		{"ENUM", set("EnumRoot", "E164.ARPA."), func(s *Settings) any { return s.EnumRoot }, "e164.arpa"},
		{"no ENUM", set("EnumRoot", "e164.arpa", "EnumRoot", "off"), func(s *Settings) any { return s.EnumRoot }, ""},
		{"a locator program", set("Locator", "exec:/usr/local/bin//my locator"), func(s *Settings) any { return s.Locator }, Locator{Program: "/usr/local/bin/my locator"}},
		{"a locator service", set("Locator", "https://[::1]:8080/locate?key=1"), func(s *Settings) any { return s.Locator.String() }, "https://[::1]:8080/locate?key=1"},
		{"no locator", set("Locator", "exec:/bin/true", "Locator", "off"), func(s *Settings) any { return s.Locator }, Locator{}},
		{"admin socket", set("AdminListen", "unix:/run/a.sock"), func(s *Settings) any { return s.AdminListen }, "unix:/run/a.sock"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, err := Build(tt.in)
			if err != nil {
				t.Fatal(err)
			}
			if got := tt.got(s); !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestBuildErrors(t *testing.T) {
	tests := []struct {
		name string
		in   []Value
		want []string // all in the message
	}{
		{"unknown", set("MaxContact", "3"), []string{"--set: MaxContact: ", "nearest name is MaxContacts"}},
		{"unknown, other spelling", set("time_out", "3"), []string{"nearest name is TimeOut"}},
		{"unknown, long", set(strings.Repeat("x", 100000), "3"), []string{"nearest name"}},
		{"basic", set("AuthMethod", "basic"), []string{"RFC 3261 22", "write digest"}},
		{"method", set("AuthMethod", "pgp"), []string{`"pgp"`, "digest or none"}},
		{"duration unit", set("TimeOut", "3y"), []string{`"3y"`, "15m"}},
		{"duration range", set("TimeOut", "0"), []string{"from 1 to 600"}},
		{"duration overflow", set("Expires", "9223372036854775807d"), []string{"write seconds"}},
		{"duration negative", set("Expires", "-5"), []string{"write seconds"}},
		{"half seconds", set("Expires", "1500ms"), []string{"whole seconds"}},
		{"423 bound", set("MinExpires", "3601"), []string{"from 1 to 3600"}},
		{"order of expiries", set("MinExpires", "600", "Expires", "60"), []string{"MinExpires 10m0s", "change one"}},
		{"number", set("MaxContacts", "many"), []string{"from 1 to 1000"}},
		{"port", set("Port", "70000"), []string{"from 1 to 65535"}},
		{"missing value", set("ServerName", ""), []string{"missing"}},
		{"bool", set("RecordRoute", "maybe"), []string{"true or false"}},
		{"listener without transport", set("Listen", "0.0.0.0:5060"), []string{"udp:0.0.0.0:5060"}},
		{"listener by name", set("Listen", "udp:localhost:5060"), []string{"numeric address"}},
		{"listener twice", set("Listen", "udp:127.0.0.1:5060 udp:127.0.0.1"), []string{"stands twice"}},
		{"listener of later", set("Listen", "wss:0.0.0.0:5061"), []string{"udp, tcp and tls"}},
		{"TLS without a certificate", set("Listen", "tls:0.0.0.0:5061"), []string{"TLSCertificate and TLSKey"}},
		{"a certificate without its key", set("TLSCertificate", "a.pem"), []string{"TLSCertificate", "write both"}},
		{"a name server by name", set("Resolver", "dns.example"), []string{"192.0.2.53"}},
		{"admin", set("AdminListen", "8060"), []string{"127.0.0.1:8060"}},
		{"algorithm", set("DigestAlgorithms", "SHA-1"), []string{"SHA-512-256"}},
		{"algorithm twice", set("DigestAlgorithms", "MD5,md5"), []string{"twice"}},
		{"no algorithm", set("DigestAlgorithms", ","), []string{"missing"}},
		{"network", set("LocalNets", "10.0.0.0/33"), []string{"192.0.2.0/24"}},
		{"host name", set("ProxyName", "a b"), []string{"sip.example.com"}},
		{"next hop by name", set("AllowedNextHops", "localhost:5080"), []string{`"localhost:5080"`, "127.0.0.1:5080"}},
		{"next hop, port", set("AllowedNextHops", "127.0.0.1:0"), []string{"127.0.0.1:5080"}},
		{"next hop, a port too large", set("AllowedNextHops", "127.0.0.1:70000"), []string{"127.0.0.1:5080"}},
		{"next hop, IPv6 and port without brackets", set("AllowedNextHops", "fe80::/10:5060"), []string{"[fe80::/10]:5060"}},
		{"next hop, half a bracket", set("AllowedNextHops", "[::1"), []string{"[fe80::/10]:5060"}},
		{"next hop, half a bracket and port", set("AllowedNextHops", "[::1:5060"), []string{"[fe80::/10]:5060"}},
		{"next hop, IPv6 group", set("AllowedNextHops", "ff02::1"), []string{"18.1.1"}},
		{"no next hop", set("AllowedNextHops", ","), []string{"missing"}},
		{"too many next hops", set("AllowedNextHops", strings.Repeat("127.0.0.1,", 65)), []string{"65 items; at most 64"}},
		{"regex", set("Domain", "(cs"), []string{"regular expression"}},
		{"facility", set("RequestLog", "@user.error"), []string{"facility.severity", "warning"}},
		{"none and another", set("RequestLog", "none", "RequestLog", "sql"), []string{"`none`"}},
		{"ports", set("RTPPorts", "20000"), []string{"20000-29999"}},
		{"debug", set("Debug", "everything"), []string{"all, sql, net"}},
		{"public address", set("PublicAddress", "0.0.0.0"), []string{"192.0.2.1"}},
		{"ENUM below an address", set("EnumRoot", "192.0.2.1"), []string{`"192.0.2.1"`, "e164.arpa"}},
		{"ENUM below no name", set("EnumRoot", "e164 arpa"), []string{"e164.arpa"}},
		{"ENUM below a long name", set("EnumRoot", strings.Repeat("a.", 112)+"a"), []string{"e164.arpa"}},
		{"a program in the working directory", set("Locator", "exec:locate"), []string{"absolute path", "exec:/usr/local/bin/locate"}},
		{"a program alone", set("Locator", "/usr/bin/locate"), []string{"exec:/usr/local/bin/locate"}},
		{"a service of another kind", set("Locator", "ftp://127.0.0.1/"), []string{"http://127.0.0.1:8080/locate"}},
		{"a service nowhere", set("Locator", "http://:80/"), []string{"http://127.0.0.1:8080/locate"}},
		{"a service with a password", set("Locator", "http://a:b@127.0.0.1/"), []string{"a password", "by our address"}},
		{"a service that is none", set("Locator", "http://a:secret@[::1/"), []string{"cannot be read", "a:****"}},
		{"database", set("UserConfig", "oracle://x"), []string{"sqlite:PATH"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Build(tt.in)
			if err == nil {
				t.Fatal("got no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("got %q, want %q in it", err, want)
				}
			}
		})
	}
}

func TestAllMistakesAtOnce(t *testing.T) {
	_, err := New(map[string]string{"TimeOut": "x"}, map[string][]string{"Portt": {"1"}})
	if err == nil || !strings.Contains(err.Error(), "server_settings: TimeOut") || !strings.Contains(err.Error(), "file or --set: Portt") {
		t.Errorf("got %v, want both mistakes with their sources", err)
	}
}

func TestPrecedence(t *testing.T) {
	db := Map("server_settings", map[string]string{"Listen": "udp:127.0.0.1:1", "TimeOut": "10", "MaxContacts": "3"})
	file := []Value{
		{Name: "Listen", Args: []string{"udp:127.0.0.1:2"}, Source: "f:1"}, {Name: "Listen", Args: []string{"udp:127.0.0.1:3"}, Source: "f:2"},
		{Name: "TimeOut", Args: []string{"20"}, Source: "f:3"}, {Name: "DefaultReg", Args: []string{"redirect"}, Weak: true},
		{Name: "MaxContacts", Args: []string{"5"}, Weak: true},
	}
	s, err := Build(db, file, set("TimeOut", "30", "TimeOut", "40"))
	if err != nil {
		t.Fatal(err)
	}
	if s.DefaultReg != store.Redirect || s.MaxContacts != 3 || s.TimeOut != 40*time.Second || len(s.Listen) != 2 || s.Listen[0].Addr.Port() != 2 {
		t.Errorf("got %v %d %v %v, want redirect, 3, 40s and the file's two listeners", s.DefaultReg, s.MaxContacts, s.TimeOut, s.Listen)
	}
	if s.Sources["Listen"] != "f:2" || s.Sources["MaxContacts"] != "server_settings" {
		t.Errorf("got sources %v", s.Sources)
	}
}

func TestEditDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "abc", 3}, {"kitten", "sitting", 3}, {"abc", "abc", 0}} {
		if got := editDistance(c.a, c.b); got != c.want {
			t.Errorf("editDistance(%q, %q): got %d, want %d", c.a, c.b, got, c.want)
		}
	}
}

// RFC 3261 18.2.1: who listens for UDP listens for TCP; who is told not to says so.
func TestListenUDPWithoutTCP(t *testing.T) {
	for _, tt := range []struct {
		name   string
		listen []string
		want   int
	}{
		{"default", nil, 0},
		{"both", []string{"udp:127.0.0.1:5070", "tcp:127.0.0.1:5070"}, 0},
		{"TCP alone", []string{"tcp:127.0.0.1:5070"}, 0},
		{"UDP alone", []string{"udp:127.0.0.1:5070"}, 1},
		{"another port, another address", []string{"udp:127.0.0.1:5070", "tcp:127.0.0.1:5071", "udp:127.0.0.2:5071"}, 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			values := []string{"PrivateKey", "x"}
			for _, l := range tt.listen {
				values = append(values, "Listen", l)
			}
			s, err := Build(set(values...))
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, note := range s.Notes {
				if strings.Contains(note, "18.2.1") {
					n++
				}
			}
			if n != tt.want {
				t.Errorf("got notes %q, want %d about TCP", s.Notes, tt.want)
			}
		})
	}
}
