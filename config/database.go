package config

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Database names a database.
type Database struct {
	URL     string        // "sqlite:PATH" or "postgres://..."
	Refresh time.Duration // REFRESH of a fastsql:// URL, 0 when none is written
}

// SQLite returns the path of an SQLite file.
func (d Database) SQLite() (path string, ok bool) { return strings.CutPrefix(d.URL, "sqlite:") }

// String returns the URL without its password.
func (d Database) String() string { return MaskURL(d.URL) }

// below makes the relative path of an SQLite file hang below root.
func (d Database) below(root string) Database {
	if path, ok := d.SQLite(); ok && path != ":memory:" && !strings.HasPrefix(path, "file:") {
		d.URL = "sqlite:" + below(root, path)
	}
	return d
}

// below makes a relative file name hang below root, "" being the working directory.
func below(root, path string) string {
	if root == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

// databaseForms is what every message about a database URL ends with.
const databaseForms = "write sqlite:PATH, postgres://user:password@host/database or sql://user:password@host/database"

// ParseDatabase reads a database URL: sqlite:PATH, postgres:// or postgresql://, and the classic sql:// and fastsql://,
// which mean Postgres here. The error never shows the password.
func ParseDatabase(text string) (Database, error) {
	scheme, rest, ok := strings.Cut(text, ":")
	scheme = strings.ToLower(scheme)
	if !ok {
		return Database{}, fmt.Errorf("%q is not a database URL; %s", MaskURL(text), databaseForms)
	}
	switch scheme {
	case "sqlite":
		path := strings.TrimPrefix(rest, "//") // sqlite://PATH is a spelling of sqlite:PATH
		if path == "" || strings.ContainsRune(path, 0) {
			return Database{}, errors.New("sqlite: names no file; write sqlite:/var/lib/sipd/sipd.db")
		}
		return Database{URL: "sqlite:" + path}, nil
	case "postgres", "postgresql", "sql", "fastsql":
	default:
		return Database{}, fmt.Errorf("%q: no such kind of database; %s", clip(scheme+":"), databaseForms)
	}
	u, err := url.Parse(text)
	if err != nil {
		var why *url.Error
		if errors.As(err, &why) {
			err = why.Err // without the URL: it holds the password
		}
		return Database{}, fmt.Errorf("the database URL %s://... cannot be read (%s): write special characters of the password as %%XX", scheme, hidePort(err))
	}
	classic := scheme == "sql" || scheme == "fastsql"
	if classic && (u.Host == "" || strings.Trim(u.Path, "/") == "") {
		return Database{}, fmt.Errorf("%s: host or database is missing; write %s://user:password@host/database", MaskURL(text), scheme)
	}
	db := Database{}
	u.Scheme = "postgres"
	if q := u.Query(); classic && len(q) > 0 {
		for name, values := range q {
			if !strings.EqualFold(name, "REFRESH") {
				continue
			}
			d, err := ParseDuration(values[len(values)-1])
			if err != nil || d < time.Second || d > 24*time.Hour {
				return Database{}, fmt.Errorf("%s: REFRESH is a number of seconds from 1 to 86400: REFRESH=900", MaskURL(text))
			}
			db.Refresh = d
			q.Del(name)
		}
		u.RawQuery = q.Encode()
	}
	db.URL = u.String()
	return db, nil
}

// hidePort drops the quoted part of a parse error: "invalid port \":secret\" after host" may quote a password.
func hidePort(err error) string {
	text := err.Error()
	if i := strings.IndexByte(text, '"'); i >= 0 {
		return strings.TrimSpace(text[:i])
	}
	return text
}

// secretParams are the parameters of a Postgres URL that hold passwords.
var secretParams = regexp.MustCompile(`(?i)([?&](?:ssl)?password=)[^&\s]*`)

// MaskURL returns a URL with its passwords masked. It works on text that is no proper URL, too.
func MaskURL(text string) string {
	text = secretParams.ReplaceAllString(text, "${1}"+Masked)
	head, rest, ok := strings.Cut(text, "://")
	if !ok {
		return text
	}
	authority := rest
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		authority = rest[:i]
		user, _, hasPassword := strings.Cut(authority, ":")
		if hasPassword {
			user += ":" + Masked
		}
		return head + "://" + user + rest[i:]
	}
	return text
}

func databaseURL(_ *builder, v Value) error {
	text, err := single(v)
	if err != nil {
		return err
	}
	_, err = ParseDatabase(text)
	return err
}

// Flags are what a command line says about where the configuration is.
type Flags struct {
	Database string   // -D
	File     string   // -f
	Root     string   // -s: relative names hang below it
	Env      string   // the variable SIPD_DB
	Etc      []string // files looked for when nothing is named; nil: /etc/sipd/sipd.conf, /etc/cinema_db.conf
}

// etc is where a system's files are.
var etc = []string{"/etc/sipd/sipd.conf", "/etc/cinema_db.conf"}

// Place is the configuration that was found.
type Place struct {
	Database Database
	Root     string // ServerRoot; "" is the working directory
	File     *File  // nil when a URL was given
}

// Values returns what the place says beside the database: a source that stands above server_settings.
func (p Place) Values() []Value {
	var values []Value
	if p.Database.Refresh > 0 {
		seconds := strconv.Itoa(int(p.Database.Refresh / time.Second))
		values = append(values, Value{Name: "Refresh", Args: []string{seconds}, Source: "REFRESH of the database URL"})
	}
	if p.File == nil || !p.File.Classic {
		return values
	}
	// A sipd.conf starts from the classic's default where it differs from today's: contacts without an action were
	// redirected to, new installations proxy.
	values = append(values, Value{Name: "DefaultReg", Args: []string{"redirect"}, Source: p.File.Name + " (default of a sipd.conf)", Weak: true})
	return append(values, p.File.Values...)
}

// ErrNoDatabase is what Locate returns when nobody names a database.
var ErrNoDatabase = errors.New("no database is named")

// Locate finds the database: -D or SIPD_DB, else the file of -f, else a file below /etc. Errors say what to write.
func (f Flags) Locate() (Place, error) {
	if f.Database != "" && f.File != "" {
		return Place{}, errors.New("-D and -f both name a database; write one of them")
	}
	if f.Database == "" && f.Env != "" {
		if f.File != "" {
			return Place{}, errors.New("-f and the variable SIPD_DB both name a database; unset SIPD_DB or leave -f out")
		}
		f.Database = f.Env
	}
	if f.Database != "" {
		db, err := ParseDatabase(f.Database)
		if err != nil {
			return Place{}, fmt.Errorf("-D or SIPD_DB: %w", err)
		}
		return Place{Database: db.below(f.Root), Root: f.Root}, nil
	}
	if f.File != "" {
		return f.place(below(f.Root, f.File))
	}
	paths := f.Etc
	if paths == nil {
		paths = etc
	}
	for _, path := range paths {
		p, err := f.place(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		return p, err
	}
	return Place{}, fmt.Errorf("%w, and there is no %s; write -D sqlite:PATH, -f FILE or one of the files", ErrNoDatabase, strings.Join(paths, " and no "))
}

// place reads the file at path.
func (f Flags) place(path string) (Place, error) {
	file, err := ReadFile(path)
	if err != nil {
		return Place{}, err
	}
	if file.Database == "" {
		return Place{}, fmt.Errorf("%s names no database; add a line `UserConfig sqlite:/var/lib/sipd/sipd.db`", path)
	}
	db, err := ParseDatabase(file.Database)
	if err != nil {
		return Place{}, fmt.Errorf("%s: UserConfig: %w", path, err)
	}
	root := f.Root
	if file.Root != "" {
		root = below(f.Root, file.Root)
	}
	return Place{Database: db.below(root), Root: root, File: file}, nil
}
