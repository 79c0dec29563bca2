package storetest_test

import (
	"errors"
	"testing"

	"go.uber.org/goleak"

	"sipd/location"
	"sipd/store"
	"sipd/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMem(t *testing.T) {
	storetest.Run(t, func(*testing.T) store.Store { return storetest.New() })
}

func TestMemFails(t *testing.T) {
	m := storetest.New()
	away := errors.New("away")
	m.Fail(away)
	if _, err := m.User(t.Context(), "alice@example.com"); !errors.Is(err, away) {
		t.Errorf("got %v, want away", err)
	}
	if _, err := m.Commit(t.Context(), []location.RowSet{{}}); !errors.Is(err, location.ErrNotCommitted) || !errors.Is(err, away) {
		t.Errorf("got %v, want not committed, away", err)
	}
	m.Fail(location.ErrUnknownOutcome)
	if _, err := m.Commit(t.Context(), []location.RowSet{{}}); !errors.Is(err, location.ErrUnknownOutcome) || errors.Is(err, location.ErrNotCommitted) {
		t.Errorf("got %v, want unknown outcome", err)
	}
	m.Fail(nil)
	if _, err := m.Servers(t.Context()); err != nil {
		t.Errorf("got %v, want no error", err)
	}
}
