package main

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// result is what a call of the program left.
type result struct {
	code     int
	out, err string
}

// call runs the program in this process. The environment is empty and no file below /etc is seen.
func call(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	var out, errs strings.Builder
	a := &app{stdin: strings.NewReader(stdin), stdout: &out, stderr: &errs, env: func(string) string { return "" }, etc: []string{filepath.Join(t.TempDir(), "none")}}
	code := a.execute(t.Context(), args)
	return result{code, out.String(), errs.String()}
}

// must runs the program and fails the test unless it ends well.
func must(t *testing.T, args ...string) string {
	t.Helper()
	r := call(t, "", args...)
	if r.code != exitDone {
		t.Fatalf("sipd %s: got exit status %d, %q, want 0", strings.Join(args, " "), r.code, r.err)
	}
	return r.out
}

// database makes a database with the domain example.com and returns its -D argument.
func database(t *testing.T) string {
	t.Helper()
	d := "-Dsqlite:" + filepath.Join(t.TempDir(), "sipd.db")
	must(t, "db", "migrate", d)
	must(t, "domain", "add", "example.com", d)
	return d
}

func writeFile(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// expectation is one call and what it must leave.
type expectation struct {
	name string
	args []string
	code int
	want string // in standard output when code is 0, else in standard error
}

func expect(t *testing.T, tests []expectation) {
	t.Helper()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := call(t, "", tt.args...)
			got := r.out
			if tt.code != 0 {
				got = r.err
			}
			if r.code != tt.code || !strings.Contains(got, tt.want) {
				t.Errorf("sipd %s: got %d, %q %q, want %d and %q", strings.Join(tt.args, " "), r.code, r.out, r.err, tt.code, tt.want)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "sipd.conf")
	writeFile(t, conf, "UserConfig sqlite:"+dir+"/x.db\nMaxContact 3\n")
	db := "-Dsqlite:" + filepath.Join(dir, "a.db")
	expect(t, []expectation{
		{"version", []string{"-v"}, 0, "sipd unknown\n"},
		{"help", []string{"--help"}, 0, "quickstart"},
		{"unknown command", []string{"rnu"}, 2, `unknown command "rnu"`},
		{"unknown flag", []string{"--bogus"}, 2, "unknown flag: --bogus"},
		{"too many arguments", []string{"run", "x"}, 2, "unknown command"},
		{"missing argument", []string{"user", "add"}, 2, "write: sipd user add USER [flags]"},
		{"unknown flag of a command", []string{"alias", "rm", "--all"}, 2, "write: sipd alias rm ALIAS [USER]"},
		{"group alone", []string{"user"}, 2, "sub-commands"},
		{"no database", []string{"run"}, 2, "no database is named"},
		{"-D and -f", []string{"run", db, "-f", conf}, 2, "-D and -f both"},
		{"bad URL", []string{"db", "status", "-D", "oracle://x"}, 2, "no such kind of database"},
		{"bad --set", []string{"run", db, "--set", "TimeOut"}, 2, "write Name=value"},
		{"unknown setting", []string{"run", db, "--set", "Timeout1=3"}, 2, "nearest name is TimeOut"},
		{"bad listener", []string{"run", db, "--listen", "5060"}, 2, "--listen: Listen"},
		{"bad admin", []string{"run", db, "--admin", "8060"}, 2, "--admin: AdminListen"},
		{"bad category", []string{"run", db, "-d", "sq"}, 2, "-d: Debug"},
		{"glued typo", []string{"run", db, "-database"}, 2, "-d: Debug"},
		{"mistake in the file", []string{"run", "-f", conf}, 2, conf + ":2: MaxContact"},
		{"several mistakes at once", []string{"run", "-f", conf, "--set", "Bogus=1"}, 2, "--set: Bogus"},
		{"not migrated", []string{"user", "list", db}, 1, "sipd db migrate"},
		{"missing server record", []string{"run", "-S", "nobody", db, "--admin", "off", "--listen", "udp:127.0.0.1:0"}, 2, `no server record "nobody"`},
	})
}

func TestEnvironmentNamesTheDatabase(t *testing.T) {
	d := database(t)
	var out, errs strings.Builder
	a := &app{stdout: &out, stderr: &errs, env: func(name string) string {
		return map[string]string{"SIPD_DB": strings.TrimPrefix(d, "-D")}[name]
	}}
	if code := a.execute(t.Context(), []string{"domain", "list"}); code != 0 || !strings.Contains(out.String(), "example.com") {
		t.Errorf("got %d, %q %q, want 0 and the domain", code, out.String(), errs.String())
	}
}

func TestDomains(t *testing.T) {
	d := database(t)
	expect(t, []expectation{
		{"again", []string{"domain", "add", "EXAMPLE.com.", d}, 1, "example.com is there already"},
		{"address", []string{"domain", "add", "192.0.2.1", "--canonical", "example.com", d}, 0, "192.0.2.1"},
		{"IPv6 address", []string{"domain", "add", "[2001:DB8:0::1]", "--canonical", "example.com", d}, 0, "2001:db8::1"},
		{"regex", []string{"domain", "add", `.*\.lab`, "--kind", "regex", "--canonical", "example.com", d}, 0, ".lab"},
		{"bad regex", []string{"domain", "add", `(`, "--kind", "regex", "--canonical", "example.com", d}, 2, "regular expression"},
		{"bad kind", []string{"domain", "add", `x.org`, "--kind", "suffix", d}, 2, "exact, regex, ip"},
		{"bad name", []string{"domain", "add", `x y`, d}, 2, "letters, digits"},
		{"canonical is missing", []string{"domain", "add", "x.org", "--canonical", "example.org", d}, 1, "sipd domain add example.org"},
		{"canonical is an other name", []string{"domain", "add", "x.org", "--canonical", "192.0.2.1", d}, 1, "--canonical example.com"},
		{"list", []string{"domain", "list", d}, 0, "192.0.2.1    ip     example.com  example.com"},
		{"a user", []string{"user", "add", "a@192.0.2.1", d}, 0, "a@example.com"},
		{"rm with other names", []string{"domain", "rm", "example.com", d}, 1, "stands for example.com"},
		{"rm", []string{"domain", "rm", "192.0.2.1", d}, 0, "removed"},
		{"rm IPv6", []string{"domain", "rm", "2001:db8::1", d}, 0, "removed"},
		{"rm regex", []string{"domain", "rm", `.*\.lab`, d}, 0, "removed"},
		{"rm again", []string{"domain", "rm", "192.0.2.1", d}, 1, "there is no domain"},
		{"rm with users", []string{"domain", "rm", "example.com", d}, 1, "1 users are in example.com"},
	})
	must(t, "domain", "add", "2001:db8::2", d)
	must(t, "user", "add", "six@[2001:db8::2]", d)
	expect(t, []expectation{
		{"users of an IPv6 domain", []string{"user", "list", "2001:DB8::2", d}, 0, "six@[2001:db8::2]"},
		{"rm IPv6 with users", []string{"domain", "rm", "[2001:db8:0::2]", d}, 1, "1 users are in 2001:db8::2"},
		{"rm user", []string{"user", "rm", "six@[2001:db8::2]", d}, 0, "removed"},
		{"rm IPv6 without", []string{"domain", "rm", "[2001:db8:0::2]", d}, 0, "removed"},
	})
	var views []domainView
	if err := json.Unmarshal([]byte(must(t, "domain", "list", "--json", d)), &views); err != nil || len(views) != 1 || views[0].Name != "example.com" {
		t.Errorf("--json: got %v, %v, want example.com alone", views, err)
	}
}

func TestUsers(t *testing.T) {
	d := database(t)
	must(t, "class", "add", "staff", d)
	expect(t, []expectation{
		{"add", []string{"user", "add", "sip:Alice@Example.COM", "-p", "secret", "-c", "staff", "-a", "never", "--admin", "--display-name", "Alice A.", d}, 0, "added user Alice@example.com"},
		{"add again", []string{"user", "add", "Alice@example.com", "-p", "x", d}, 1, "sipd user passwd Alice@example.com"},
		{"add, random password", []string{"user", "add", "bob@example.com", d}, 0, "password "},
		{"unknown domain", []string{"user", "add", "bob@example.org", d}, 1, "sipd domain add example.org"},
		{"no domain", []string{"user", "add", "bob", d}, 2, "bob@example.com"},
		{"unknown class", []string{"user", "add", "x@example.com", "-c", "student", d}, 2, "write one of staff"},
		{"bad policy", []string{"user", "add", "x@example.com", "-a", "maybe", d}, 2, "required, requested, never"},
		{"empty standard input", []string{"user", "add", "x@example.com", "-p", "-", d}, 2, "standard input"},
		{"empty password", []string{"user", "add", "x@example.com", "-p", "", d}, 2, "the password is empty"},
		{"empty new password", []string{"user", "passwd", "bob@example.com", "-p", "", d}, 2, "the password is empty"},
		{"list", []string{"user", "list", d}, 0, "Alice@example.com  Alice A.  never     staff  admin"},
		{"list of another domain", []string{"user", "list", "example.org", d}, 1, "there is no domain example.org"},
		{"list of the domain", []string{"user", "list", "Example.com", d}, 0, "Alice@example.com"},
		{"show", []string{"user", "show", "Alice@example.com", d}, 0, "MD5 Alice@example.com"},
		{"show nobody", []string{"user", "show", "nobody@example.com", d}, 1, "there is no user nobody@example.com"},
		{"set nothing", []string{"user", "set", "bob@example.com", d}, 2, "nothing to change"},
		{"set", []string{"user", "set", "bob@example.com", "--auth-policy", "requested", "--max-contacts", "3", d}, 0, "changed user bob@example.com"},
		{"set out of bounds", []string{"user", "set", "bob@example.com", "--max-contacts", "-3", d}, 2, "max_contacts"},
		{"passwd", []string{"user", "passwd", "bob@example.com", d}, 0, "new password of bob@example.com: "},
		{"disable", []string{"user", "disable", "bob@example.com", d}, 0, "disabled"},
		{"disabled is shown", []string{"user", "list", d}, 0, "disabled"},
		{"rm", []string{"user", "rm", "bob@example.com", d}, 0, "removed"},
		{"rm again", []string{"user", "rm", "bob@example.com", d}, 1, "there is no user"},
	})
	if r := call(t, "from stdin\n", "user", "passwd", "Alice@example.com", "-p", "-", d, "--json"); r.code != 0 || strings.Contains(r.out, "from stdin") {
		t.Errorf("passwd -p -: got %d %q %q, want 0 without the password", r.code, r.out, r.err)
	}
	var v userView
	if err := json.Unmarshal([]byte(must(t, "user", "show", "Alice@example.com", "--json", d)), &v); err != nil {
		t.Fatal(err)
	}
	if v.Key != "Alice@example.com" || v.AuthPolicy != "never" || v.GatewayClass != "staff" || !v.Admin || len(v.Credentials) != 2 {
		t.Errorf("--json: got %+v", v)
	}
}

// A new realm whose credentials somebody else has leaves the user as he was.
func TestPasswordIsAllOrNothing(t *testing.T) {
	d := database(t)
	must(t, "domain", "add", "example.org", d)
	must(t, "user", "add", "a@example.com", d)
	must(t, "user", "add", "a@example.org", d)
	if r := call(t, "", "user", "passwd", "a@example.org", "-r", "example.com", d); r.code != 1 {
		t.Errorf("got %d %q %q, want 1", r.code, r.out, r.err)
	}
	if out := must(t, "user", "show", "a@example.org", "--json", d); !strings.Contains(out, `"realm": "example.org"`) {
		t.Errorf("got %s, want the old realm", out)
	}
}

func TestCredentialsFollowDigestAlgorithms(t *testing.T) {
	dir := t.TempDir()
	conf := filepath.Join(dir, "sipd.conf")
	writeFile(t, conf, "ServerRoot "+dir+"\nUserConfig sqlite:sipd.db\nDigestAlgorithms SHA-256,MD5\n")
	must(t, "db", "migrate", "-f", conf)
	must(t, "domain", "add", "example.com", "-f", conf)
	must(t, "user", "add", "a@example.com", "-f", conf)
	if out := must(t, "user", "show", "a@example.com", "-f", conf); strings.Count(out, "SHA-256 a") != 2 || strings.Count(out, "MD5 a") != 2 {
		t.Errorf("got %q, want two credentials each for SHA-256 and MD5", out)
	}
	d := "-Dsqlite:" + filepath.Join(dir, "sipd.db")
	must(t, "user", "passwd", "a@example.com", d) // MD5 alone, the default
	if out := must(t, "user", "show", "a@example.com", "-f", conf); !strings.Contains(out, "SHA-256, for which a@example.com has no credential") {
		t.Errorf("got %q, want a hint about the missing credential", out)
	}
}

func TestImport(t *testing.T) {
	d := database(t)
	file := filepath.Join(t.TempDir(), "users.csv")
	writeFile(t, file, "user_key,password,auth_policy\na@example.com,pa,never\nb@example.com,,never\n")
	expect(t, []expectation{{"a bad line", []string{"user", "import", file, d}, 1, file + ":3: no password and no HA1; the user could not register; nothing was imported"}})
	if out := must(t, "user", "list", d); strings.Contains(out, "@") {
		t.Errorf("after a failed import: got %q, want no user", out)
	}
	writeFile(t, file, "user_key,password,auth_policy\na@example.com,pa,never\nb@example.com,pb,never\n")
	expect(t, []expectation{
		{"good", []string{"user", "import", file, d}, 0, "imported 2 users"},
		{"again", []string{"user", "import", file, d}, 0, "imported 0 users, 2 were there already"},
		{"no file", []string{"user", "import", file + "x", d}, 1, "no such file"},
	})
	writeFile(t, file, "user_key,password,auth_policy\na@example.com,pa,never\nb@example.com,other,never\n")
	expect(t, []expectation{{"another password", []string{"user", "import", file, d}, 1, file + ":3: user b@example.com: "}})
	if r := call(t, "user_key,password\nc@example.com,pc\n", "user", "import", "-", d, "--json"); r.code != 0 || !strings.Contains(r.out, `"imported": 1`) {
		t.Errorf("from standard input: got %d %q %q", r.code, r.out, r.err)
	}
	if out := must(t, "user", "list", d); strings.Count(out, "@example.com") != 3 {
		t.Errorf("got %q, want three users", out)
	}
}

func TestAliases(t *testing.T) {
	d := database(t)
	must(t, "user", "add", "alice@example.com", d)
	must(t, "user", "add", "bob@example.com", d)
	expect(t, []expectation{
		{"extension", []string{"alias", "add", "201", "alice@example.com", d}, 0, "201@example.com of alice@example.com"},
		{"again", []string{"alias", "add", "201", "alice@example.com", d}, 1, "leads to alice@example.com already"},
		{"group", []string{"alias", "add", "sales@example.com", "alice@example.com", "--group", "--priority", "2", d}, 0, "sales@example.com"},
		{"group, second member", []string{"alias", "add", "sales@example.com", "bob@example.com", "--group", d}, 0, "sales@example.com"},
		{"unknown user", []string{"alias", "add", "x", "nobody@example.com", d}, 1, "sipd user add nobody@example.com"},
		{"unknown domain", []string{"alias", "add", "x@example.org", "bob@example.com", d}, 2, "sipd domain add example.org"},
		{"the user himself", []string{"alias", "add", "bob@example.com", "bob@example.com", d}, 2, "another name"},
		{"list", []string{"alias", "list", d}, 0, "sales@example.com  alice@example.com  group  2"},
		{"list one", []string{"alias", "list", "sales@example.com", d}, 0, "bob@example.com"},
		{"rm one", []string{"alias", "rm", "sales@example.com", "bob@example.com", d}, 0, "removed"},
		{"rm nothing", []string{"alias", "rm", "sales@example.com", "bob@example.com", d}, 1, "there is no alias"},
		{"rm", []string{"alias", "rm", "sales@example.com", d}, 0, "removed"},
	})
	if out := must(t, "alias", "list", d); strings.Contains(out, "sales") || !strings.Contains(out, "201@example.com") {
		t.Errorf("got %q, want 201 alone", out)
	}
}

func TestThirdParties(t *testing.T) {
	d := database(t)
	for _, name := range []string{"alice", "bob", "secretary"} {
		must(t, "user", "add", name+"@example.com", d)
	}
	must(t, "alias", "add", "201", "alice@example.com", d)
	r := call(t, "", "thirdparty", "add", "alice@example.com", "secretary@example.com", d)
	if r.code != 0 || !strings.Contains(r.out, "secretary@example.com may register for alice@example.com") || !strings.Contains(r.err, "ThirdPartyReg is false") {
		t.Errorf("add: got %d %q %q, want it done and the setting named", r.code, r.out, r.err)
	}
	expect(t, []expectation{
		{"again", []string{"thirdparty", "add", "alice@example.com", "secretary@example.com", d}, 1, "may register for alice@example.com already"},
		{"another", []string{"thirdparty", "add", "bob@example.com", "secretary@example.com", d, "--json"}, 0, `"registrant": "secretary@example.com"`},
		{"himself", []string{"thirdparty", "add", "bob@example.com", "bob@example.com", d}, 2, "for himself anyway"},
		{"for nobody", []string{"thirdparty", "add", "nobody@example.com", "bob@example.com", d}, 1, "sipd user add nobody@example.com"},
		{"nobody", []string{"thirdparty", "add", "bob@example.com", "nobody@example.com", d}, 1, "sipd user add nobody@example.com"},
		{"an alias", []string{"thirdparty", "add", "201@example.com", "bob@example.com", d}, 1, "when that is an alias"},
		{"the template", []string{"thirdparty", "add", "default@example.com", "bob@example.com", d}, 2, "template"},
		{"unknown domain", []string{"thirdparty", "add", "bob@example.org", "alice@example.com", d}, 2, "sipd domain add example.org"},
		{"list", []string{"thirdparty", "list", d}, 0, "alice@example.com  secretary@example.com\nbob@example.com    secretary@example.com"},
		{"list one, JSON", []string{"thirdparty", "list", "bob@example.com", "--json", d}, 0, `"user": "bob@example.com"`},
		{"list nobody", []string{"thirdparty", "list", "nobody@example.com", d}, 1, "there is no user nobody@example.com"},
		{"rm one", []string{"thirdparty", "rm", "alice@example.com", "secretary@example.com", d}, 0, "secretary@example.com may not register for alice@example.com any more"},
		{"rm again", []string{"thirdparty", "rm", "alice@example.com", "secretary@example.com", d}, 1, "may not register for alice@example.com; `sipd thirdparty list`"},
		{"rm all", []string{"thirdparty", "rm", "bob@example.com", d}, 0, "nobody else may register for bob@example.com"},
		{"rm none", []string{"thirdparty", "rm", "bob@example.com", d}, 1, "nobody may register for bob@example.com"},
		{"list nothing, JSON", []string{"thirdparty", "list", "--json", d}, 0, "[]"},
	})
}

func TestPeers(t *testing.T) {
	d := database(t)
	expect(t, []expectation{
		{"networks", []string{"peer", "add", "--net", "192.0.2.10", "--net", "2001:DB8:5::/64", d}, 0, "added trusted peer 1: 192.0.2.10 2001:db8:5::/64"},
		{"again", []string{"peer", "add", "--net", "192.0.2.10, 2001:db8:5::/64", "--may-assert-identity", d}, 1, "there already"},
		{"a name", []string{"peer", "add", "--tls-name", "GW.example.net", "--may-assert-identity", "--json", d}, 0, `"tls_name": "gw.example.net"`},
		{"nothing", []string{"peer", "add", "--may-assert-identity", d}, 2, "write --net"},
		{"no network", []string{"peer", "add", "--net", "gw.example.net", d}, 2, `"gw.example.net" is no network: write 192.0.2.0/24`},
		{"everybody", []string{"peer", "add", "--net", "0.0.0.0/0", d}, 2, "is everybody"},
		{"bits", []string{"peer", "add", "--net", "10.0.0.1/8", d}, 2, "write 10.0.0.0/8"},
		{"a wildcard", []string{"peer", "add", "--tls-name", "*.example.net", d}, 2, "write one domain"},
		{"list", []string{"peer", "list", d}, 0, "2                               gw.example.net  yes"},
		{"list, JSON", []string{"peer", "list", "--json", d}, 0, `"may_assert_identity": true`},
		{"rm what is no number", []string{"peer", "rm", "gw.example.net", d}, 2, "write the ID"},
		{"rm", []string{"peer", "rm", "1", d}, 0, "removed trusted peer 1"},
		{"rm again", []string{"peer", "rm", "1", d}, 1, "there is no trusted peer 1"},
	})
}

func TestDatabaseState(t *testing.T) {
	d := "-Dsqlite:" + filepath.Join(t.TempDir(), "x.db")
	expect(t, []expectation{
		{"mistyped", []string{"user", "list", d}, 1, "there is no database file"},
		{"new", []string{"db", "status", d}, 1, "make it with `sipd db migrate"},
		{"migrate", []string{"db", "migrate", d}, 0, "migrations applied"},
		{"migrate again", []string{"db", "migrate", d}, 0, " 0 migrations applied"},
		{"current", []string{"db", "status", d}, 0, "up to date"},
		{"second server record", []string{"db", "migrate", "-S", "two", d}, 0, " 0 migrations"},
		{"ambiguous", []string{"conf", "show", d}, 2, "write -S with one of them"},
		{"picked", []string{"conf", "show", "-S", "two", "MaxContacts", d}, 0, "20"},
	})
}

func TestConfShow(t *testing.T) {
	d := database(t)
	expect(t, []expectation{
		{"default", []string{"conf", "show", "timeout", d}, 0, "TimeOut  30     default"},
		{"set", []string{"conf", "show", "TimeOut", "--set", "TimeOut=10", d}, 0, "TimeOut  10     --set"},
		{"secret", []string{"conf", "show", "PrivateKey", d}, 0, "PrivateKey  ********  server_settings"},
		{"password in a URL", []string{"conf", "show", "RequestLog", "--set", "RequestLog=sql://u:secret@h/d", d}, 0, "sql://u:********@h/d"},
		{"unknown", []string{"conf", "show", "TimeOuts", d}, 2, "nearest name is TimeOut"},
		{"all", []string{"conf", "show", d}, 0, "UseThreadPool"},
	})
}

func TestContacts(t *testing.T) {
	d := database(t)
	must(t, "user", "add", "alice@example.com", d)
	expect(t, []expectation{
		{"none", []string{"reg", "list", d}, 0, "USER"},
		{"none, JSON", []string{"reg", "list", "alice@example.com", "--json", d}, 0, "[]"},
		{"of nobody", []string{"reg", "list", "nobody@example.com", d}, 1, "there is no user"},
		{"rm", []string{"reg", "rm", "alice@example.com", d}, 0, "removed 0 contacts"},
		{"rm one", []string{"reg", "rm", "alice@example.com", "sip:x@192.0.2.9", d}, 1, "has no contact"},
	})
}

func TestExplain(t *testing.T) {
	d := database(t)
	for _, u := range []string{"alice", "bob"} {
		must(t, "user", "add", u+"@example.com", d)
	}
	must(t, "user", "set", "bob@example.com", "--auth-policy", "never", d)
	expect(t, []expectation{
		{"not registered", []string{"explain", "sip:bob@example.com", "--from", "alice@example.com", d}, 0, "=> rejected with 480"},
		{"reasons", []string{"explain", "sip:bob@example.com", "--from", "alice@example.com", d}, 0, "users:"},
		{"unknown", []string{"explain", "sip:carol@example.com", "--from", "alice@example.com", d}, 0, "=> rejected with 404"},
		{"foreign", []string{"explain", "sip:bob@example.org", "--from", "alice@example.com", d}, 0, "the domain of the Request-URI"},
		{"foreign, of a stranger", []string{"explain", "sip:bob@example.org", d}, 0, "=> rejected with 403"},
		{"a local caller without credentials", []string{"explain", "sip:bob@example.com", "--from", "alice@example.com", "--no-credentials", d}, 0, `=> challenged with 407, realm "example.com"`},
		{"a stranger", []string{"explain", "bob@example.com", d}, 0, "=> rejected with 480"},
		{"JSON", []string{"explain", "bob@example.com", "--json", d}, 0, `"decision": "reject"`},
		{"no such caller", []string{"explain", "bob@example.com", "--from", "x@example.com", d}, 1, "there is no user x@example.com"},
		{"not a URI", []string{"explain", "sip:", d}, 2, "request URI"},
		{"not routed", []string{"explain", "bob@example.com", "--method", "REGISTER", d}, 2, "not routed"},
		{"the server itself", []string{"explain", "sip:example.com", d}, 2, "405"},
	})
}

func TestStopped(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs strings.Builder
	a := &app{stdout: &out, stderr: &errs, env: func(string) string { return "" }}
	if code := a.execute(ctx, []string{"db", "migrate", "-Dsqlite:" + filepath.Join(t.TempDir(), "x.db")}); code != exitFailed {
		t.Errorf("with a cancelled context: got %d, want %d", code, exitFailed)
	}
}
