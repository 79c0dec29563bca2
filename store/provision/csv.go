package provision

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"sipd/sipaddr"
	"sipd/store"
)

// maxImport is how many users one file may have: the size sipd is built for, with room.
const maxImport = 5_000_000

// byteOrderMark is what spreadsheets begin a file with.
const byteOrderMark = "\ufeff"

// columns are what the header line of an import may name.
var columns = []string{"user_key", "password", "ha1", "ha1_sha256", "realm", "auth_policy", "gateway_class", "display_name", "email"}

// Import is a CSV file that was read and found good.
type Import struct {
	Users []store.ImportUser // to be added
	Known int                // lines of users who are there already just so: the file was imported before, perhaps in part
	lines map[sipaddr.AOR]place
}

// place is where a user stands: the line of the file, the index in Users.
type place struct{ line, index int }

// LineError is a mistake in a line of the file.
type LineError struct {
	File string
	Line int
	Err  error
}

// Error names the line as editors do.
func (e *LineError) Error() string { return e.File + ":" + strconv.Itoa(e.Line) + ": " + e.Err.Error() }

// Unwrap returns what is wrong with the line.
func (e *LineError) Unwrap() error { return e.Err }

// ReadCSV reads users. The first line names the columns: user_key and any of password, ha1 (MD5), ha1_sha256, realm,
// auth_policy, gateway_class, display_name, email. A password makes credentials for every algorithm and both names; an
// HA1 is one for the name `alice`, because it cannot be made for another. The first bad line is a LineError and nothing is imported.
func ReadCSV(ctx context.Context, file string, in io.Reader, st store.Admin, algorithms []store.Algorithm) (*Import, error) {
	text := bufio.NewReader(in)
	if mark, _ := text.Peek(len(byteOrderMark)); string(mark) == byteOrderMark { // what cannot be read, csv reports
		text.Discard(len(byteOrderMark))
	}
	r := csv.NewReader(text)
	r.ReuseRecord = true
	head, err := r.Read()
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = errors.New("the file is empty; the first line names the columns: user_key,password")
		}
		return nil, &LineError{file, 1, csvError(err)}
	}
	reader := lineReader{st: st, algorithms: algorithms, hosts: map[string]*store.Domain{}, templates: map[string]store.User{}, column: map[string]int{}}
	for i, c := range head {
		c = strings.ToLower(strings.TrimSpace(c))
		if !isColumn(c) {
			return nil, &LineError{file, 1, fmt.Errorf("column %q; the columns are %s", c, strings.Join(columns, ", "))}
		}
		if _, twice := reader.column[c]; twice {
			return nil, &LineError{file, 1, fmt.Errorf("column %s stands twice", c)}
		}
		reader.column[c] = i
	}
	if _, ok := reader.column["user_key"]; !ok {
		return nil, &LineError{file, 1, errors.New("no column user_key; the first line names the columns: user_key,password")}
	}
	if err := reader.load(ctx); err != nil {
		return nil, err
	}

	imp := &Import{lines: map[sipaddr.AOR]place{}}
	names := map[authName]int{} // in which line
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			return imp, imp.checkNew(ctx, file, st)
		}
		if err != nil {
			line := 0
			var pe *csv.ParseError
			if errors.As(err, &pe) {
				line = pe.Line
			}
			return nil, &LineError{file, line, csvError(err)}
		}
		line, _ := r.FieldPos(0)
		u, err := reader.user(ctx, record)
		if err != nil {
			return nil, &LineError{file, line, err}
		}
		if first, twice := imp.lines[u.User.Key]; twice {
			return nil, &LineError{file, line, fmt.Errorf("user %s stands in line %d already", u.User.Key, first.line)}
		}
		if len(imp.Users) == maxImport {
			return nil, &LineError{file, line, fmt.Errorf("more than %d users; split the file", maxImport)}
		}
		for _, c := range u.Credentials {
			name := authName{c.Username, c.Realm}
			if first, twice := names[name]; twice && first != line {
				return nil, &LineError{file, line, fmt.Errorf("line %d has the name %s in realm %s already", first, c.Username, c.Realm)}
			}
			names[name] = line
		}
		imp.lines[u.User.Key] = place{line, len(imp.Users)}
		imp.Users = append(imp.Users, u)
	}
}

// authName is what a credential is found by: one user's alone.
type authName struct{ username, realm string }

// checkNew takes out the users that the database has already with the same realm and credentials, and reports those that it has with
// others, with the line that adds them again.
func (imp *Import) checkNew(ctx context.Context, name string, st store.Admin) error {
	first := 0
	var key sipaddr.AOR
	known := map[sipaddr.AOR]bool{}
	err := st.Users(ctx, "", func(u *store.User) error {
		at, ok := imp.lines[u.Key]
		if !ok {
			return nil
		}
		same, err := sameUser(ctx, st, &imp.Users[at.index], u)
		if err != nil {
			return err
		}
		if same {
			known[u.Key] = true
		} else if first == 0 || at.line < first {
			first, key = at.line, u.Key
		}
		return nil
	})
	if err != nil {
		return err
	}
	if first > 0 {
		return &LineError{name, first, fmt.Errorf("user %s: %w, with other credentials; take the line out, or change him with `sipd user passwd`", key, store.ErrExists)}
	}
	imp.Known = len(known)
	imp.Users = slices.DeleteFunc(imp.Users, func(u store.ImportUser) bool { return known[u.User.Key] })
	return nil
}

// sameUser tells whether a user in the database has the realm and the credentials of his line.
func sameUser(ctx context.Context, st store.Admin, line *store.ImportUser, u *store.User) (bool, error) {
	if line.User.Realm != u.Realm {
		return false, nil
	}
	rows, err := st.Credentials(ctx, u.ID)
	if err != nil || len(rows) != len(line.Credentials) {
		return false, err
	}
	for _, c := range line.Credentials {
		c.UserID = u.ID
		if !slices.Contains(rows, c) {
			return false, nil
		}
	}
	return true, nil
}

func isColumn(name string) bool {
	for _, c := range columns {
		if c == name {
			return true
		}
	}
	return false
}

// csvError drops the position that LineError writes itself.
func csvError(err error) error {
	var pe *csv.ParseError
	if errors.As(err, &pe) {
		return pe.Err
	}
	return err
}

// lineReader turns records into users. It remembers what it looked up: a file names few domains and classes.
type lineReader struct {
	st         store.Admin
	algorithms []store.Algorithm
	domains    Domains
	hosts      map[string]*store.Domain
	templates  map[string]store.User // by domain
	classes    map[string]int64
	column     map[string]int
}

func (r *lineReader) load(ctx context.Context) error {
	domains, err := r.st.Domains(ctx)
	if err != nil {
		return err
	}
	r.domains = domains
	classes, err := r.st.Classes(ctx)
	if err != nil {
		return err
	}
	r.classes = make(map[string]int64, len(classes))
	for _, c := range classes {
		r.classes[c.Name] = c.ID
	}
	return nil
}

// field returns a column of a record, "" when the file lacks it. It clones: the reader uses its memory again.
func (r *lineReader) field(record []string, name string) string {
	i, ok := r.column[name]
	if !ok {
		return ""
	}
	if name == "password" {
		return strings.Clone(record[i]) // blanks belong to it
	}
	return strings.Clone(strings.TrimSpace(record[i]))
}

// domain is Domains.Resolve with a memory of hosts.
func (r *lineReader) domain(text string) (sipaddr.AOR, *store.Domain, error) {
	aor, err := sipaddr.ParseAOR(text)
	if err != nil {
		return "", nil, err
	}
	if d := r.hosts[aor.Host()]; d != nil && aor.User() != "" {
		return sipaddr.AOR(aor.User() + "@" + Bracket(Canonical(d))), d, nil
	}
	key, d, err := r.domains.Resolve(text)
	if err == nil {
		r.hosts[aor.Host()] = d
	}
	return key, d, err
}

func (r *lineReader) user(ctx context.Context, record []string) (store.ImportUser, error) {
	var none store.ImportUser
	key, d, err := r.domain(r.field(record, "user_key"))
	if err != nil {
		return none, err
	}
	template, ok := r.templates[Canonical(d)]
	if !ok {
		if template, err = Template(ctx, r.st, Canonical(d)); err != nil {
			return none, err
		}
		r.templates[Canonical(d)] = template
	}
	realm := r.field(record, "realm")
	if realm == "" {
		realm = r.domains.Realm(d)
	}
	u := store.ImportUser{User: Fresh(template, key, realm)}
	u.User.DisplayName = r.field(record, "display_name")
	u.User.Email = r.field(record, "email")
	if p := r.field(record, "auth_policy"); p != "" {
		if u.User.AuthPolicy, err = store.ParseAuthPolicy(p); err != nil {
			return none, err
		}
	}
	if c := r.field(record, "gateway_class"); c != "" {
		if u.User.GatewayClassID, ok = r.classes[c]; !ok {
			return none, fmt.Errorf("gateway class %q: there is no such class; write `sipd class add %s` first", c, c)
		}
	}
	if u.Credentials, err = r.credentials(record, key, realm); err != nil {
		return none, err
	}
	if err := u.User.Check(); err != nil {
		return none, err
	}
	for i := range u.Credentials {
		if err := u.Credentials[i].Check(); err != nil {
			return none, err
		}
	}
	return u, nil
}

func (r *lineReader) credentials(record []string, key sipaddr.AOR, realm string) ([]store.Credential, error) {
	password, ha1, ha1SHA256 := r.field(record, "password"), r.field(record, "ha1"), r.field(record, "ha1_sha256")
	if password != "" {
		if ha1 != "" || ha1SHA256 != "" {
			return nil, errors.New("a password and an HA1 stand in one line; keep one of them")
		}
		if err := CheckPassword(password); err != nil {
			return nil, err
		}
		return Credentials(key, realm, password, r.algorithms), nil
	}
	if ha1 == "" && ha1SHA256 == "" {
		return nil, errors.New("no password and no HA1; the user could not register")
	}
	var rows []store.Credential
	for _, c := range []struct {
		algorithm store.Algorithm
		ha1       string
	}{{store.MD5, ha1}, {store.SHA256, ha1SHA256}} {
		if c.ha1 != "" {
			rows = append(rows, store.Credential{Username: key.User(), Realm: realm, Algorithm: c.algorithm, HA1: strings.ToLower(c.ha1)})
		}
	}
	return rows, nil
}
