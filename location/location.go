package location

import (
	"context"
	"net/netip"
	"time"

	"sipd/sipaddr"
)

// Binding is one contact of an address-of-record. It never changes once published.
type Binding struct {
	ID          int64
	UserID      int64
	URI         string // Contact URI as registered
	DisplayName string
	Q           int       // thousandths
	Action      uint8     // store.Action
	Expires     time.Time // zero: static
	CallID      string
	CSeq        uint32
	InstanceID  string
	RegID       int
	Path        []string // Path values, first is the first hop
	UserAgent   string
	Methods     string
	Source      netip.AddrPort // where the REGISTER came from
	Proto       uint8          // transport.Proto it came by
	Conn        uint64         // transport.ConnID, 0 for UDP and after a restart
	Local       netip.AddrPort // own address it came to
	ByFlow      bool           // requests go to Source and Local, not to the URI (BEHAVIOUR J)
	Updated     time.Time
}

// Change is what one REGISTER asks for one AOR (RFC 3261 10.3 steps 6 and 7): all of it or nothing.
type Change struct {
	AOR    sipaddr.AOR
	UserID int64
	CallID string
	CSeq   uint32
	Now    time.Time
	Max    int        // most dynamic bindings of this AOR
	Star   bool       // Contact: * with Expires: 0
	Set    []*Binding // to add or refresh; Expires not after Now removes
	Done   func(Result)
}

// Result is how a Change ended.
type Result struct {
	Bindings []*Binding // every binding of the AOR now
	Err      error      // nil, or one of the errors below, or the store's
}

// Service is the location service.
type Service struct {
	// ...
}

// Bindings returns the live and static bindings of an AOR, highest q first; the slice is shared and never changes. aor may be a receive
// buffer. It takes a read lock of one shard and does not allocate. The caller skips those whose Expires has passed.
func (s *Service) Bindings(aor []byte) []*Binding { return nil }

// Submit queues a change; Done is called once, from the committer's goroutine, after the commit. The error (ErrBusy, ErrAway) means it was not
// taken and Done is not called.
func (s *Service) Submit(c *Change) error { return nil }

// Run commits changes and drops what has expired, until ctx ends and the queue is drained.
func (s *Service) Run(ctx context.Context) error { return nil }
