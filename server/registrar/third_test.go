package registrar_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sipd/config"
	"sipd/server/registrar"
	"sipd/store"
	"sipd/store/cache"
	"sipd/trace"
)

// thirdParties has a secretary who registers for Alice and Bob, a disabled one, and an installation of another domain that registers for Alice. Bob registers
// for nobody, 200 is an alias of the secretary, staff a group that she is in.
func thirdParties(t testing.TB, change ...func(*config.Settings)) *cache.Snapshot {
	t.Helper()
	set := &config.Settings{Expires: time.Hour, MinExpires: time.Minute, MaxExpires: 2 * time.Hour, MaxContacts: 20, ThirdPartyReg: true, DigestAlgorithms: []store.Algorithm{store.MD5}}
	for _, f := range change {
		f(set)
	}
	s, err := cache.Build(store.Tables{
		Domains: []store.Domain{{ID: 1, Name: "example.com"}, {ID: 2, Name: "sip.example.com", Canonical: "example.com"}, {ID: 3, Name: "example.net", Realm: "net"}},
		Users: []store.User{{ID: 1, Key: "alice@example.com", Realm: "example.com", MaxContacts: 2}, {ID: 2, Key: "bob@example.com", Realm: "example.com", MaxContacts: 5},
			{ID: 3, Key: "secretary@example.com", Realm: "example.com", MaxContacts: 7}, {ID: 4, Key: "late@example.com", Realm: "example.com", Disabled: true},
			{ID: 5, Key: "pbx@example.net", Realm: "net"}, {ID: 6, Key: "dave@example.net", Realm: "net"}, {ID: 7, Key: "gone@example.com", Realm: "example.com", Disabled: true}},
		Aliases: []store.Alias{{ID: 1, Alias: "200@example.com", PrimaryUser: "secretary@example.com"}, {ID: 2, Alias: "100@example.com", PrimaryUser: "alice@example.com"},
			{ID: 3, Alias: "staff@example.com", PrimaryUser: "secretary@example.com", Kind: store.Group}, {ID: 4, Alias: "staff@example.com", PrimaryUser: "bob@example.com", Kind: store.Group}},
		ThirdParties: []store.ThirdParty{{UserID: 1, RegistrantID: 3}, {UserID: 2, RegistrantID: 3}, {UserID: 1, RegistrantID: 4}, {UserID: 1, RegistrantID: 5}, {UserID: 7, RegistrantID: 3}},
	}, set)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// RFC 3261 10.2 and 10.3 step 4, BEHAVIOUR A9 and A12.
func TestThirdParty(t *testing.T) {
	s := thirdParties(t)
	off := thirdParties(t, func(set *config.Settings) { set.ThirdPartyReg = false })
	none := thirdParties(t, func(set *config.Settings) { set.AuthMethod = config.AuthNone })
	const secretary, pbx, dave = "secretary@example.com", "pbx@example.net", "dave@example.net"
	from := func(uri string) string { return "From: <sip:" + uri + ">;tag=1" }
	tests := []struct {
		name  string
		s     *cache.Snapshot
		to    string
		user  string
		lines []string
		want  string
		note  string // in the trace
	}{
		{"adds", s, toAlice, secretary, []string{from(secretary), contact}, updated, "may register for alice@example.com"},
		{"adds to an alias", s, "<sip:100@example.com>", secretary, []string{from(secretary), contact}, updated, ""},
		{"removes", s, toAlice, secretary, []string{from(secretary), "Contact: *", "Expires: 0"}, "update alice@example.com *", ""},
		{"fetches", s, toAlice, secretary, []string{from(secretary)}, "fetch alice@example.com", ""},
		{"From as To: the credentials decide", s, toAlice, secretary, []string{contact}, updated, ""},
		{"From is an alias of hers", s, toAlice, secretary, []string{from("200@example.com"), contact}, updated, ""},
		{"From is a group of hers", s, toAlice, secretary, []string{from("staff@example.com"), contact}, updated, ""},
		{"From is another name of the domain", s, toAlice, secretary, []string{"From: <sips:secretary@sip.EXAMPLE.com:5061>;tag=1", contact}, updated, ""},
		{"From is a stranger to both", s, toAlice, secretary, []string{from("bob@example.com"), contact}, "403", "From is neither"},
		{"From is from elsewhere", s, toAlice, secretary, []string{from("secretary@elsewhere.org"), contact}, "403", "From is neither"},
		{"From is no SIP URI", s, toAlice, secretary, []string{"From: <tel:+12125550000>;tag=1", contact}, "403", "From is neither"},
		{"for herself as ever", s, "<sip:secretary@example.com>", secretary, []string{from(secretary), contact}, "update secretary@example.com sip:alice@192.0.2.9(3600)", ""},
		{"she does not let Alice", s, "<sip:secretary@example.com>", "alice@example.com", []string{contact}, "403", "no row of third_parties lets alice@example.com"},
		{"nobody let Bob", s, toAlice, "bob@example.com", []string{from("bob@example.com"), contact}, "403", "no row of third_parties lets bob@example.com"},
		{"From does not make Bob the secretary", s, toAlice, "bob@example.com", []string{from(secretary), contact}, "403", "no row of third_parties"},
		{"switched off", off, toAlice, secretary, []string{from(secretary), contact}, "403", "ThirdPartyReg is false"},
		{"the third party is disabled", s, toAlice, "late@example.com", []string{from("late@example.com"), contact}, "403", "the third party is disabled"},
		{"the user is disabled", s, "<sip:gone@example.com>", secretary, []string{from(secretary), contact}, "403", "disabled"},

		{"no credentials", s, toAlice, "", []string{from(secretary), contact}, "challenge example.com false", ""},
		{"a third party is asked for her own realm", s, toAlice, "", []string{from(pbx), contact}, "challenge net false", ""},
		{"but not when there are none", off, toAlice, "", []string{from(pbx), contact}, "challenge example.com false", ""},
		{"who is from elsewhere is asked for that of To", s, toAlice, "", []string{from("pbx@elsewhere.org"), contact}, "challenge example.com false", ""},
		{"of another realm", s, toAlice, pbx, []string{from(pbx), contact}, updated, ""},
		{"of another realm, and nobody's third party", s, toAlice, dave, []string{from(dave), contact}, "403", "no row of third_parties"},

		{"unknown user, known third party", s, "<sip:nobody@example.com>", secretary, []string{from(secretary), contact}, "404", "To names no user"},
		{"unknown user, known third party of another realm", s, "<sip:nobody@example.com>", pbx, []string{from(pbx), contact}, "404", "To names no user"},
		{"unknown user, nobody's third party of another realm", s, "<sip:nobody@example.com>", dave, []string{from(dave), contact}, "403", "nobody's third party"},
		{"unknown user, no credentials", s, "<sip:nobody@example.com>", "", []string{from(secretary), contact}, "challenge example.com false", ""},
		{"unknown user, third party of another realm without credentials", s, "<sip:nobody@example.com>", "", []string{from(pbx), contact}, "challenge net false", ""},

		{"AuthMethod none believes From", none, toAlice, "", []string{from(secretary), contact}, updated, ""},
		{"AuthMethod none, From is nobody's third party", none, toAlice, "", []string{from("bob@example.com"), contact}, "403", "no row of third_parties"},
		{"AuthMethod none, From is unknown", none, toAlice, "", []string{from("nobody@example.com"), contact}, "403", "From names no user"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := input(tt.s, request(t, tt.to, tt.lines...), tt.user)
			got := show(registrar.Decide(in))
			if got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			if steps := fmt.Sprint(in.Trace.Steps()); !strings.Contains(steps, tt.note) {
				t.Errorf("got the trace %s, want %q in it", steps, tt.note)
			}
			// What is asked for and what is verified is one realm.
			if c, ok := strings.CutPrefix(got, "challenge "); ok {
				if realm := registrar.Realm(tt.s, in.Request, false); !strings.HasPrefix(c, realm+" ") {
					t.Errorf("got Realm %q and the challenge %s, want the same", realm, c)
				}
			}
		})
	}
}

// The limits are those of the user in To, the row in the trace says who let whom, and an ordinary REGISTER costs no more than before.
func TestThirdPartyIsTheUsersRegistration(t *testing.T) {
	s := thirdParties(t)
	in := input(s, request(t, toAlice, "From: <sip:secretary@example.com>;tag=1", contact), "secretary@example.com")
	up, ok := registrar.Decide(in).(registrar.Update)
	if !ok || up.Change.UserID != 1 || up.Change.Max != 2 || up.Change.AOR != "alice@example.com" || up.Change.Set[0].UserID != 1 {
		t.Errorf("got %+v, want Alice's, who may have 2", up.Change)
	}
	found := false
	for _, step := range in.Trace.Steps() {
		found = found || step.Rule == "third party" && step.Table == "third_parties" && step.Row == 1 && step.Subject == "secretary@example.com" && step.Verdict == trace.Accept
	}
	if !found {
		t.Errorf("got the trace %v, want the third party in it", in.Trace.Steps())
	}
	fetch := request(t, toAlice)
	cost := func(s *cache.Snapshot) float64 {
		in := input(s, fetch, "alice@example.com")
		return testing.AllocsPerRun(100, func() {
			in.Trace.Reset()
			registrar.Decide(in)
		})
	}
	if on, off := cost(s), cost(snapshot(t)); on > off {
		t.Errorf("got %v allocations with ThirdPartyReg, want those without, %v", on, off)
	}
}
