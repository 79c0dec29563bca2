package daemon

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"sipd/config"
	"sipd/store"
	"sipd/store/cache"
)

func TestGCPercent(t *testing.T) {
	for _, c := range []struct {
		live, scanned uint64
		want          int
	}{{0, 0, 3200}, {1 << 20, 1 << 20, 3200}, {16 << 20, 4 << 20, 800}, {128 << 20, 128 << 20, 400}, {256 << 20, 16 << 20, 50},
		{512 << 20, 64 << 20, 50}, {512 << 20, 512 << 20, 100}, {4 << 30, 1 << 30, 25}} {
		if got := gcPercent(c.live, c.scanned); got != c.want {
			t.Errorf("gcPercent(%d, %d): got %d, want %d", c.live, c.scanned, got, c.want)
		}
	}
}

func TestAsConfig(t *testing.T) {
	_, bad := config.New(map[string]string{"TimeOut": "x"}, nil)
	for _, c := range []struct {
		err  error
		want bool
	}{{bad, true}, {fmt.Errorf("load: %w", store.ErrNotFound), true}, {errors.New("connection refused"), false}} {
		if got := errors.Is(asConfig(c.err), ErrConfig); got != c.want {
			t.Errorf("asConfig(%v): got %v, want %v", c.err, got, c.want)
		}
		if asConfig(c.err).Error() != c.err.Error() {
			t.Errorf("asConfig(%v) changed the message to %v", c.err, asConfig(c.err))
		}
	}
}

func TestReasons(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, c := range []struct {
		name   string
		status cache.Status
		away   bool
		want   []string
	}{
		{"all is well", cache.Status{Current: at, Watching: true}, false, nil},
		{"starting to watch", cache.Status{Current: at}, false, nil},
		{"old tables", cache.Status{Current: at, Watching: true, Err: errors.New("connection refused")}, false, []string{"2026-01-02T03:04:05Z, 2h0m0s ago: connection refused"}},
		{"not watching", cache.Status{Current: at, Blind: at}, false, []string{"since 2026-01-02T03:04:05Z changes"}},
		{"away", cache.Status{Current: at, Blind: at}, true, []string{"noticed late", "refused with 503"}},
	} {
		got := reasons(c.status, c.away, at.Add(2*time.Hour))
		if len(got) != len(c.want) {
			t.Errorf("%s: got %q, want %d reasons", c.name, got, len(c.want))
			continue
		}
		for i := range got {
			if !strings.Contains(got[i], c.want[i]) {
				t.Errorf("%s: got %q, want %q", c.name, got[i], c.want[i])
			}
		}
	}
}

// Other servers compare a certificate with the domain that they call: another name of it does not do.
func TestSpeaksForUs(t *testing.T) {
	home := &cache.Domain{Row: &store.Domain{Name: "example.com"}, Canonical: "example.com"}
	domains := map[string]*cache.Domain{
		"example.com":     home,
		"sip.example.com": {Row: &store.Domain{Name: "sip.example.com"}, Canonical: "example.com"},
		"192.0.2.1":       {Row: &store.Domain{Name: "192.0.2.1", Kind: store.IP}, Canonical: "192.0.2.1"},
		"2001:db8::1":     {Row: &store.Domain{Name: "2001:db8::1", Kind: store.IP}, Canonical: "[2001:db8::1]"},
		"a.lab.example":   {Row: &store.Domain{Name: ".*lab.example", Kind: store.Regex}, Canonical: "example.com"},
	}
	for _, c := range []struct {
		names string
		want  bool
	}{
		{"example.com", true},
		{"www.example.com example.com", true},
		{"sip.example.com", false},
		{"192.0.2.1", true},
		{"2001:db8::1", true},
		{"a.lab.example", true},
		{"*.example.com other.example", false},
		{"", false},
	} {
		if got := speaksForUs(strings.Fields(c.names), func(host []byte) *cache.Domain { return domains[string(host)] }); got != c.want {
			t.Errorf("certificate of %q: got %v, want %v", c.names, got, c.want)
		}
	}
}
