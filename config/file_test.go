package config

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sipd/store"
)

// The example of the manual page of 2001 parses as it stands there.
func TestClassicExample(t *testing.T) {
	f, err := ReadFile("testdata/classic.conf")
	if err != nil {
		t.Fatal(err)
	}
	want := []Value{
		{Name: "ServerRoot", Args: []string{"."}, Source: "testdata/classic.conf:1"},
		{Name: "ServerName", Args: []string{"cs.columbia.edu"}, Source: "testdata/classic.conf:2"},
		{Name: "Domain", Args: []string{"cs.columbia.edu"}, Source: "testdata/classic.conf:3"},
		{Name: "Expires", Args: []string{"7200"}, Source: "testdata/classic.conf:4"},
		{Name: "LogCondition", Args: []string{"INVITE,200"}, Source: "testdata/classic.conf:5"},
		{Name: "RequestLog", Args: []string{"|/usr/local/bin/charging", "%t %u"}, Source: "testdata/classic.conf:6"},
		{Name: "RequestLog", Args: []string{"@user.info", "%t %{From}i"}, Source: "testdata/classic.conf:7"},
		{Name: "RequestLog", Args: []string{"sql://admin:secret@db.example.com/sip"}, Source: "testdata/classic.conf:8"},
		{Name: "ErrorLog", Args: []string{"logs/syslog"}, Source: "testdata/classic.conf:9"},
		{Name: "User", Args: []string{"root"}, Source: "testdata/classic.conf:10"},
		{Name: "DisplayAmbiguous", Args: []string{"true"}, Source: "testdata/classic.conf:11"},
		{Name: "UserConfig", Args: []string{"sql://admin:secret@db.example.com/sip"}, Source: "testdata/classic.conf:12"},
	}
	if !reflect.DeepEqual(f.Values, want) {
		t.Errorf("got %v\nwant %v", f.Values, want)
	}
	if f.Root != "." || f.Database != "sql://admin:secret@db.example.com/sip" || !f.Classic {
		t.Errorf("got root %q, database %q, classic %v", f.Root, f.Database, f.Classic)
	}
	s, err := Build(nil, Place{File: f}.Values())
	if err != nil {
		t.Fatal(err)
	}
	if s.ServerName != "cs.columbia.edu" || s.Expires != 2*time.Hour || !s.DisplayAmbiguous || s.RequestLog != "sql" || s.DefaultReg != store.Redirect {
		t.Errorf("got %+v", s)
	}
	if len(s.Values["RequestLog"]) != 3 {
		t.Errorf("got %q, want three destinations", s.Values["RequestLog"])
	}
	for _, n := range s.Notes {
		if strings.Contains(n, "secret") {
			t.Errorf("note %q shows a password", n)
		}
	}
}

func TestParseFile(t *testing.T) {
	tests := []struct {
		name, text string
		want       [][]string // name and words
	}{
		{"comments at line start only", "# c\n  # c\nUser #99\nGroup a#b\n", [][]string{{"User", "#99"}, {"Group", "a#b"}}},
		{"tabs, blanks, CRLF, no newline at the end", "\tPort\t5070  \r\n\r\nExpires 60", [][]string{{"Port", "5070"}, {"Expires", "60"}}},
		{"quotes", `LogFormat "%h \"%r\" \\ \d %s"`, [][]string{{"LogFormat", `%h "%r" \ \d %s`}}},
		{"empty quotes", `Canonicalize ""`, [][]string{{"Canonicalize", ""}}},
		{"a quote inside a word", `Domain a"b`, [][]string{{"Domain", `a"b`}}},
		{"order kept", "RequestLog a\nPort 1\nRequestLog b", [][]string{{"RequestLog", "a"}, {"Port", "1"}, {"RequestLog", "b"}}},
		{"no value", "Port", [][]string{{"Port"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f, err := ParseFile("f", []byte(tt.text))
			if err != nil {
				t.Fatal(err)
			}
			var got [][]string
			for _, v := range f.Values {
				got = append(got, append([]string{v.Name}, v.Args...))
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestParseFileErrors(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"empty", "# nothing\n", "f: the file is empty"},
		{"open quote", "Port 1\nLogFormat \"x", "f:2: LogFormat: a double quote is not closed"},
		{"text after a quote", `LogFormat "x"y`, "f:1: LogFormat: text follows"},
		{"URL and directive", "sqlite:x\nPort 1", "f:2: a line after the database URL"},
		{"directive and URL", "Port 1\nsql://a/b", "f:2: a database URL stands beside"},
		{"two URLs", "sqlite:x\nsqlite:y", "f:2: a database URL stands beside"},
		{"bad URL", "oracle://a/b", "f:1: "},
		{"control character", "Port \x01", "f:1: a control character"},
		{"not UTF-8", "Port \xff", "not UTF-8"},
		{"long line", "Port " + strings.Repeat("1", 20000), "f:1: the line has"},
		{"many words", "Port " + strings.Repeat("1 ", 100), "f:1: Port: more than 64 words"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := ParseFile("f", []byte(tt.text))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestReadFileTooLarge(t *testing.T) {
	path := filepath.Join(t.TempDir(), "big")
	if err := os.WriteFile(path, []byte(strings.Repeat("#\n", maxFile)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ReadFile(path); err == nil || !strings.Contains(err.Error(), "larger than") {
		t.Errorf("got %v, want an error about the size", err)
	}
}

func TestParseDatabase(t *testing.T) {
	tests := []struct {
		in, want string
		refresh  time.Duration
	}{
		{"sqlite:./data/sipd.db", "sqlite:./data/sipd.db", 0},
		{"SQLite:///var/lib/x.db", "sqlite:/var/lib/x.db", 0},
		{"postgres://u:p@h:5433/d?sslmode=disable", "postgres://u:p@h:5433/d?sslmode=disable", 0},
		{"postgresql://h/d", "postgres://h/d", 0},
		{"postgres:///d?host=/run/pg", "postgres:///d?host=/run/pg", 0},
		{"sql://root:TooR@sqlserver.cs.acme.org:2405/sip", "postgres://root:TooR@sqlserver.cs.acme.org:2405/sip", 0},
		{"fastsql://root:TooR@h/sip?REFRESH=900", "postgres://root:TooR@h/sip", 900 * time.Second},
		{"fastsql://h/sip?refresh=15m&sslmode=disable", "postgres://h/sip?sslmode=disable", 900 * time.Second},
	}
	for _, tt := range tests {
		got, err := ParseDatabase(tt.in)
		if err != nil || got.URL != tt.want || got.Refresh != tt.refresh {
			t.Errorf("ParseDatabase(%q): got %q, %v, %v, want %q, %v", tt.in, got.URL, got.Refresh, err, tt.want, tt.refresh)
		}
	}
	for _, in := range []string{"", "sipd.db", "oracle://h/d", "sqlite:", "sql://h", "sql:///d", "sql://u:se%cret@h/d", "sql://u:se:cret@h:cret/d", "fastsql://u:secret@h/d?REFRESH=0"} {
		_, err := ParseDatabase(in)
		if err == nil {
			t.Errorf("ParseDatabase(%q): got no error", in)
		} else if strings.Contains(err.Error(), "cret") {
			t.Errorf("ParseDatabase(%q): the error %q shows the password", in, err)
		}
	}
	if got := (Database{URL: "postgres://u:secret@h/d"}).String(); strings.Contains(got, "secret") {
		t.Errorf("got %q, want the password masked", got)
	}
}

func TestLocate(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	conf := write("sipd.conf", "ServerRoot top\nUserConfig sqlite:x.db\n")
	cinema := write("cinema_db.conf", "sql://u@h/d\n")
	bare := write("bare.conf", "Port 5070\n")
	none := filepath.Join(dir, "none")
	tests := []struct {
		name  string
		flags Flags
		url   string
		root  string
		err   string
	}{
		{"-D", Flags{Database: "sqlite:a.db"}, "sqlite:a.db", "", ""},
		{"-D wins over the variable", Flags{Database: "sqlite:a.db", Env: "sqlite:b.db"}, "sqlite:a.db", "", ""},
		{"-D below -s", Flags{Database: "sqlite:a.db", Root: "/srv"}, "sqlite:/srv/a.db", "/srv", ""},
		{"variable", Flags{Env: "sqlite:/b.db", Etc: []string{conf}}, "sqlite:/b.db", "", ""},
		{"-f below -s", Flags{File: "sipd.conf", Root: dir}, "sqlite:" + dir + "/top/x.db", dir + "/top", ""},
		{"cinema_db.conf", Flags{File: cinema}, "postgres://u@h/d", "", ""},
		{"first of /etc", Flags{Etc: []string{conf, cinema}}, "sqlite:top/x.db", "top", ""},
		{"second of /etc", Flags{Etc: []string{none, cinema}}, "postgres://u@h/d", "", ""},
		{"nothing", Flags{Etc: []string{none, none + "2"}}, "", "", "no " + none + " and no " + none + "2"},
		{"both", Flags{Database: "sqlite:a", File: conf}, "", "", "-D and -f"},
		{"both by variable", Flags{Env: "sqlite:a", File: conf}, "", "", "SIPD_DB"},
		{"no such file", Flags{File: none}, "", "", "no such file"},
		{"no database in the file", Flags{File: bare}, "", "", "UserConfig sqlite:"},
		{"bad URL", Flags{Database: "x"}, "", "", "-D or SIPD_DB"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := tt.flags.Locate()
			if tt.err != "" {
				if err == nil || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("got error %v, want %q", err, tt.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got.Database.URL != tt.url || got.Root != tt.root {
				t.Errorf("got %q below %q, want %q below %q", got.Database.URL, got.Root, tt.url, tt.root)
			}
		})
	}
	p, err := Flags{Database: "fastsql://h/d?REFRESH=60"}.Locate()
	if err != nil {
		t.Fatal(err)
	}
	if v := p.Values(); len(v) != 1 || v[0].Name != "Refresh" || v[0].Args[0] != "60" {
		t.Errorf("got %v, want Refresh 60", v)
	}
}

// FuzzParseFile: whatever the bytes, a file parses or fails with a message, and what parsed can be built or fails.
func FuzzParseFile(f *testing.F) {
	classic, err := os.ReadFile("testdata/classic.conf")
	if err != nil {
		f.Fatal(err)
	}
	f.Add(classic)
	f.Add([]byte("sqlite:/var/lib/sipd.db\n"))
	f.Add([]byte("LogFormat \"%h \\\"%r\\\"\"\n\tUser #99 # x\nListen udp:[::1]:5060, tcp:0.0.0.0"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := ParseFile("f", text)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without a message")
			}
			return
		}
		for _, v := range file.Values {
			if len(v.Args) > maxWords || strings.ContainsAny(v.Name, " \t\n\"") && !strings.Contains(v.Name, `"`) {
				t.Errorf("directive %q with %d words", v.Name, len(v.Args))
			}
		}
		if s, err := Build(file.Values); err == nil && (len(s.Listen) == 0 || len(s.Listen) > maxListen || s.MinExpires > s.MaxExpires || s.TimeOut <= 0) {
			t.Errorf("settings out of bounds: %+v", s)
		}
	})
}
