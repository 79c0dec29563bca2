package lastgood_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/lastgood"
)

var header = lastgood.Header{Database: "sqlite:/var/lib/sipd/sipd.db", ServerID: 3, Server: "sipd", Of: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.UTC)}

func tables() store.Tables {
	return store.Tables{
		Settings: map[string]string{"PrivateKey": "secret", "TimeOut": "17"},
		Domains:  []store.Domain{{ID: 1, Name: "example.com", Realm: "r"}, {ID: 2, ServerID: 3, Name: `.*\.lab`, Kind: store.Regex, Canonical: "example.com"}},
		Users: []store.User{
			{ID: 10, Key: "alice@example.com", Realm: "example.com", DisplayName: "Alice Ä.", Email: "a@example.com", AuthPolicy: store.Never, GatewayClassID: 4,
				DefaultAction: store.Redirect, IsAdmin: true, MaxContacts: 7},
			{ID: 1 << 40, Key: "bob@example.com", Realm: "example.com", Disabled: true, MayUploadCGI: true},
		},
		Credentials: []store.Credential{
			{UserID: 10, Username: "alice", Realm: "example.com", HA1: strings.Repeat("0f", 16)},
			{UserID: 10, Username: "alice@example.com", Realm: "example.com", Algorithm: store.SHA256, HA1: strings.Repeat("a0", 32)},
			{UserID: 1 << 40, Username: "bob", Realm: "other", Algorithm: store.SHA512_256, HA1: strings.Repeat("b1", 32)},
		},
		Aliases:      []store.Alias{{ID: 5, Alias: "100@example.com", PrimaryUser: "alice@example.com", Kind: store.Group, Priority: -3, RingMode: store.Serial, Delay: 15}},
		ThirdParties: []store.ThirdParty{{UserID: 10, RegistrantID: 1 << 40}, {UserID: 1 << 40, RegistrantID: 10}},
		TrustedPeers: []store.TrustedPeer{{ID: 6, SourceNets: "192.0.2.0/24", TLSName: "peer.example.org", MayAssertIdentity: true}, {ID: 7, TLSName: "a.example"}},
		Forwards:     []store.Forward{{UserID: 10, Kind: store.ForwardNoAnswer, Target: "tel:+1212", Timeout: 20}, {UserID: 1 << 40, Target: "sip:a@b"}},
		Plan: store.PlanRows{
			Classes: []store.GatewayClass{{ID: 4, Name: "staff"}},
			DialRules: []store.DialRule{{ID: 8, Position: 10, Pattern: "911", Target: "sip:911@psap", Emergency: true, Comment: "c", Enabled: true},
				{ID: 9, Position: 20, Pattern: "(9)*", Target: "tel:+1$"}},
			GatewayRules: []store.GatewayRule{{ID: 11, Position: 30, Pattern: "(+1)*", Classes: "staff", Target: "sip:$@gw", Weight: 2, Comment: "d", Enabled: true}},
			Gateways: []store.Gateway{{ID: 12, Name: "gw", URI: "sip:192.0.2.7", SourceNets: "192.0.2.7", TLSName: "gw.example", InboundClassID: 4, ProbeSeconds: 30,
				MaxCalls: 24, Weight: 5, Enabled: true, Drained: true, Comment: "e"}},
		},
	}
}

func bindings() map[sipaddr.AOR][]*location.Binding {
	now := time.Now()
	return map[sipaddr.AOR][]*location.Binding{
		"alice@example.com": {
			{ID: 1, UserID: 10, URI: "sip:alice@192.0.2.1:5070", DisplayName: "Alice", CallID: "c1", CSeq: 1<<32 - 1, InstanceID: "<urn:uuid:1>", RegID: 2,
				UserAgent: "phone 1 ä", Methods: "INVITE,BYE", Path: []string{"<sip:p1;lr>", "<sip:p2;lr>"}, Expires: location.At(now.Add(time.Hour)),
				Updated: location.At(now), Q: 700, Source: netip.MustParseAddrPort("198.51.100.1:40000"), Local: netip.MustParseAddrPort("[2001:db8::1]:5060"),
				Action: 1, Proto: 1, ByFlow: true},
			{ID: 2, UserID: 10, URI: "sip:alice@192.0.2.2", Q: 1000}, // static
		},
		"bob@example.com": {{ID: 3, UserID: 11, URI: "sip:bob@192.0.2.3", Expires: location.At(now.Add(-time.Hour)), Updated: location.At(now.Add(-time.Hour)), Q: 1000}},
	}
}

func all(m map[sipaddr.AOR][]*location.Binding) iter.Seq2[sipaddr.AOR, []*location.Binding] {
	return func(yield func(sipaddr.AOR, []*location.Binding) bool) {
		for _, aor := range slices.Sorted(maps.Keys(m)) {
			if !yield(aor, m[aor]) {
				return
			}
		}
	}
}

// writeTables writes the tables and returns the file.
func writeTables(t *testing.T, tab store.Tables) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), lastgood.TablesFile)
	if err := lastgood.WriteTables(t.Context(), path, true, header, tab.Feed); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestTables(t *testing.T) {
	want := tables()
	path := writeTables(t, want)
	var got store.Tables
	h, err := lastgood.ReadTables(path, header.Database, "", got.Sink())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !h.Of.Equal(header.Of) || h.Server != "sipd" || h.ServerID != 3 {
		t.Errorf("got %+v, want %+v", h, header)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("got mode %v, %v; want 0600", info.Mode().Perm(), err)
	}
	// The same rows are there although they are of later, which a touch says.
	later := header.Of.Add(time.Hour)
	if err := lastgood.Touch(path, later); err != nil {
		t.Fatal(err)
	}
	if h, err := lastgood.Peek(path, header.Database, "sipd"); err != nil || !h.Of.Equal(later) {
		t.Errorf("touched: got %v, %v; want %v", h.Of, err, later)
	}
}

// A file of an earlier version has less, and is else the same: a server that is brought up to date while its database is away starts from it.
// testdata/tables-2 was written by version 2.
func TestTablesOfEarlierVersions(t *testing.T) {
	data, err := os.ReadFile("testdata/tables-2")
	ok(t, err)
	want := tables()
	want.Forwards, want.Plan = nil, store.PlanRows{}
	want.Aliases[0].RingMode, want.Aliases[0].Delay = store.RingDefault, 0
	for _, tt := range []struct{ version, file string }{{"2", string(data)}, {"1", "sipd last good 1\n" + string(data[17:])}} {
		path := filepath.Join(t.TempDir(), lastgood.TablesFile)
		ok(t, os.WriteFile(path, []byte(tt.file), 0o600))
		var got store.Tables
		if _, err := lastgood.ReadTables(path, header.Database, "", got.Sink()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("version %s: got %+v, %v; want %+v", tt.version, got, err, want)
		}
	}
	data, err = os.ReadFile(writeTables(t, want))
	ok(t, err)
	if !bytes.HasPrefix(data, []byte("sipd last good 3\n")) {
		t.Fatalf("got a file that begins %q, want version 3", data[:17])
	}
}

// A version that knows only 1 goes on reading the bindings.
func TestBindingsAreOfVersion1(t *testing.T) {
	path := filepath.Join(t.TempDir(), lastgood.BindingsFile)
	ok(t, lastgood.WriteBindings(t.Context(), path, true, header, all(bindings())))
	if data, err := os.ReadFile(path); err != nil || !bytes.HasPrefix(data, []byte("sipd last good 1\n")) {
		t.Errorf("got %q, %v; want version 1", data[:17], err)
	}
}

func TestBindings(t *testing.T) {
	want := bindings()
	path := filepath.Join(t.TempDir(), lastgood.BindingsFile)
	if err := lastgood.WriteBindings(t.Context(), path, true, header, all(want)); err != nil {
		t.Fatal(err)
	}
	got := map[sipaddr.AOR][]*location.Binding{}
	if _, err := lastgood.ReadBindings(path, header.Database, "sipd", func(aor sipaddr.AOR, b *location.Binding) error {
		got[aor] = append(got[aor], b)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	stop := errors.New("enough")
	n := 0
	if _, err := lastgood.ReadBindings(path, header.Database, "", func(sipaddr.AOR, *location.Binding) error { n++; return stop }); !errors.Is(err, stop) || n != 1 {
		t.Errorf("got %v after %d bindings, want the caller's error after 1", err, n)
	}
}

// many is enough for some blocks.
func many() store.Tables {
	tab := tables()
	for i := range int64(3000) {
		name := fmt.Sprintf("user%05d", i)
		tab.Users = append(tab.Users, store.User{ID: 100 + i, Key: sipaddr.AOR(name + "@example.com"), Realm: "example.com"})
		tab.Credentials = append(tab.Credentials, store.Credential{UserID: 100 + i, Username: name, Realm: "example.com", HA1: strings.Repeat("0f", 16)})
	}
	return tab
}

// A file that is not exactly as it was written is refused, wherever it was cut or a bit has changed.
func TestDamaged(t *testing.T) {
	path := writeTables(t, many())
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	read := func(data []byte) error {
		t.Helper()
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := lastgood.ReadTables(path, header.Database, "", new(store.Tables).Sink())
		return err
	}
	if err := read(whole); err != nil {
		t.Fatal(err)
	}
	step := len(whole)/150 + 1
	for n := 0; n < len(whole); n += step {
		if err := read(whole[:n]); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("cut at %d of %d: got %v, want an error that names the file", n, len(whole), err)
		}
		flipped := bytes.Clone(whole)
		flipped[n] ^= 0x10
		if err := read(flipped); err == nil {
			t.Errorf("bit flipped at %d of %d: got no error", n, len(whole))
		}
	}
	if err := read(append(bytes.Clone(whole), 0)); err == nil {
		t.Error("a byte too many: got no error")
	}
	// Two blocks of the same kind in each other's place: every checksum of bytes alone would be right.
	at := bytes.Index(whole, []byte("\n")) + 1
	var blocks [][]byte
	for rest := whole[at:]; len(rest) > 0; {
		n := 8 + int(rest[0]) + int(rest[1])<<8 + int(rest[2])<<16
		blocks, rest = append(blocks, rest[:n]), rest[n:]
	}
	if len(blocks) < 4 {
		t.Fatalf("got %d blocks, want some", len(blocks))
	}
	blocks[1], blocks[2] = blocks[2], blocks[1]
	if err := read(append(bytes.Clone(whole[:at]), bytes.Join(blocks, nil)...)); err == nil {
		t.Error("blocks swapped: got no error")
	}
	blocks[1], blocks[2] = blocks[2], blocks[1]
	if err := read(append(bytes.Clone(whole[:at]), bytes.Join(slices.Delete(blocks, len(blocks)-2, len(blocks)-1), nil)...)); err == nil {
		t.Error("a block left out: got no error")
	}
}

func TestRefused(t *testing.T) {
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		want   string
	}{
		{"of another program", func(t *testing.T, path string) { overwrite(t, path, "SQLite format 3\000 and more") }, "not written by sipd"},
		{"of another version", func(t *testing.T, path string) { overwrite(t, path, "sipd last good 4\n....") }, "another version"},
		{"of version ten", func(t *testing.T, path string) { overwrite(t, path, "sipd last good 10\n....") }, "another version"},
		{"empty", func(t *testing.T, path string) { overwrite(t, path, "") }, "damaged or cut off"},
		{"readable by others", func(t *testing.T, path string) { ok(t, os.Chmod(path, 0o640)) }, "its mode is"},
		{"a folder", func(t *testing.T, path string) { ok(t, os.Remove(path)); ok(t, os.Mkdir(path, 0o700)) }, "no regular file"},
		{"not there", func(t *testing.T, path string) { ok(t, os.Remove(path)) }, "no such file"},
		{"a length from a stranger", func(t *testing.T, path string) { overwrite(t, path, "sipd last good 1\n\xff\xff\xff\x7f1234") }, "damaged or cut off"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := writeTables(t, tables())
			tt.change(t, path)
			for what, read := range map[string]func() error{
				"peek": func() error { _, err := lastgood.Peek(path, header.Database, ""); return err },
				"tables": func() error {
					_, err := lastgood.ReadTables(path, header.Database, "", new(store.Tables).Sink())
					return err
				},
				"bindings": func() error {
					_, err := lastgood.ReadBindings(path, header.Database, "", func(sipaddr.AOR, *location.Binding) error { return nil })
					return err
				},
			} {
				if err := read(); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), path) {
					t.Errorf("%s: got %v, want %q and the file's name", what, err, tt.want)
				}
			}
		})
	}
	path := writeTables(t, tables())
	for _, who := range [][2]string{{"sqlite:/other.db", ""}, {header.Database, "backup"}} {
		if _, err := lastgood.Peek(path, who[0], who[1]); err == nil || !strings.Contains(err.Error(), "it is of the") {
			t.Errorf("peek for %v: got %v, want an error about whose it is", who, err)
		}
		if _, err := lastgood.ReadTables(path, who[0], who[1], new(store.Tables).Sink()); err == nil || !strings.Contains(err.Error(), "it is of the") {
			t.Errorf("read for %v: got %v, want an error about whose it is", who, err)
		}
	}
	if _, err := lastgood.ReadBindings(path, header.Database, "", func(sipaddr.AOR, *location.Binding) error { return nil }); err == nil {
		t.Error("tables read as bindings: got no error")
	}
	if _, err := lastgood.Peek(filepath.Join(t.TempDir(), "none"), header.Database, ""); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func ok(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func overwrite(t *testing.T, path, text string) {
	t.Helper()
	ok(t, os.WriteFile(path, []byte(text), 0o600))
}

// A write that ends early leaves the file before it in force and nothing beside it.
func TestWriteIsAllOrNothing(t *testing.T) {
	path := writeTables(t, tables())
	ctx, cancel := context.WithCancel(t.Context())
	err := lastgood.WriteTables(ctx, path, true, header, func(into store.Sink) {
		cancel()
		tab := many()
		tab.Feed(into)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want context canceled", err)
	}
	var got store.Tables
	if _, err := lastgood.ReadTables(path, header.Database, "", got.Sink()); err != nil || len(got.Users) != 2 {
		t.Errorf("got %d users, %v; want the file before", len(got.Users), err)
	}
	if left, err := filepath.Glob(path + "*"); err != nil || len(left) != 1 {
		t.Errorf("got the files %v, %v; want one", left, err)
	}
	// What a kill left, readable by others, is in nobody's way.
	overwrite(t, path+".new", "half")
	ok(t, os.Chmod(path+".new", 0o666))
	tab := many()
	ok(t, lastgood.WriteTables(t.Context(), path, true, header, tab.Feed))
	if _, err := lastgood.Peek(path, header.Database, ""); err != nil {
		t.Error(err)
	}
	if err := lastgood.WriteTables(t.Context(), filepath.Join(t.TempDir(), "no", "x"), true, header, tab.Feed); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no folder: got %v, want fs.ErrNotExist", err)
	}
}

// A row that no program wrote does not keep the others from being saved.
func TestHugeRowIsLeftOut(t *testing.T) {
	tab := tables()
	tab.Users[0].DisplayName = strings.Repeat("x", 2<<20)
	path := writeTables(t, tab)
	var got store.Tables
	if _, err := lastgood.ReadTables(path, header.Database, "", got.Sink()); err != nil || len(got.Users) != 1 || len(got.Aliases) != 1 {
		t.Errorf("got %d users, %v; want one", len(got.Users), err)
	}
}

// Without hurry the writer rests nine times as long as it works: time that goes by in a bubble is rest alone.
func TestPace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), lastgood.TablesFile)
		tab := many()
		begin := time.Now()
		err := lastgood.WriteTables(t.Context(), path, false, header, func(into store.Sink) {
			for i := range tab.Users {
				if i%100 == 0 {
					time.Sleep(time.Millisecond) // work
				}
				into.User(&tab.Users[i])
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if rest := time.Since(begin) - 30*time.Millisecond; rest < 100*time.Millisecond {
			t.Errorf("got %v of rest after 30 ms of work, want nine times that, but for the last block", rest)
		}
	})
}

func FuzzRead(f *testing.F) {
	dir := f.TempDir()
	path := filepath.Join(dir, "f")
	tab := tables()
	if err := lastgood.WriteTables(f.Context(), path, true, header, tab.Feed); err != nil {
		f.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	if err := lastgood.WriteBindings(f.Context(), path, true, header, all(bindings())); err != nil {
		f.Fatal(err)
	}
	if data, err = os.ReadFile(path); err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, lastgood.Seal(data), 0o600); err != nil {
			t.Fatal(err)
		}
		// No panic, and no more memory than the file has.
		_, _ = lastgood.ReadTables(path, header.Database, "", new(store.Tables).Sink())
		_, _ = lastgood.ReadBindings(path, header.Database, "", func(sipaddr.AOR, *location.Binding) error { return nil })
	})
}
