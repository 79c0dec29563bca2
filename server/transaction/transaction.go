package transaction

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"sipd/server/message"
	"sipd/server/transport"
)

// The timers of RFC 3261 17 (Table 4), RFC 6026 and RFC 4320 follow from these.
const (
	T1 = 500 * time.Millisecond
	T2 = 4 * time.Second
	T4 = 5 * time.Second
)

// Config is what a Table needs.
type Config struct {
	Net transport.Network // timers send through an Out of it
	Log *slog.Logger
}

// Table holds all transactions in shards. A message belongs to the shard of its Call-ID.
type Table struct {
	// ...
}

// New returns an empty table. It starts nothing.
func New(cfg Config) (*Table, error) { return nil, nil }

// Run runs the timers until ctx ends.
func (t *Table) Run(ctx context.Context) error { return nil }

// Shard returns the shard of a Call-ID.
func (t *Table) Shard(callID []byte) *Shard { return nil }

// ShardOf returns the shard that a Ref was made in (RefOf, Client.Ref, Server.Ref), nil for a foreign value.
func (t *Table) ShardOf(ref transport.Ref) *Shard { return nil }

// Counts returns the transactions alive, for metrics and tests.
func (t *Table) Counts() (servers, clients int) { return 0, 0 }

// Shard is a part of the table under one lock. Enter takes the lock, Leave releases it; everything else here, and every
// call to a ServerUser, ClientUser or Timer, happens between the two.
type Shard struct {
	mu sync.Mutex
	// ...
}

// Enter locks the shard; messages go to out and time is now until Leave.
func (s *Shard) Enter(out *transport.Out, now time.Time) {}

// Leave unlocks it.
func (s *Shard) Leave() {}

// Now returns the time given to Enter.
func (s *Shard) Now() time.Time { return time.Time{} }

// Send sends data outside any transaction.
func (s *Shard) Send(to transport.Flow, data []byte) {}

// Request offers a received request. handled is true when a transaction took it: a retransmission was answered from the
// stored response or absorbed, an ACK to a non-2xx was absorbed, a CANCEL whose INVITE is here was answered 200 (in its
// own server transaction) and handed to its user. False: it is the caller's: a new request, an ACK to a 2xx (also when
// the INVITE is in Accepted), a CANCEL without INVITE. RFC 3261 17.2.3 and 9.2, RFC 6026 7.1; RFC 2543 matching
// when the branch has no magic cookie.
func (s *Shard) Request(m *message.Message, from transport.Flow) (handled bool) { return false }

// Response offers a received response. handled is true when a client transaction took it; a response that matches none
// is the caller's to drop (RFC 6026 8.9; stateless ones differ).
func (s *Shard) Response(m *message.Message, from transport.Flow) (handled bool) { return false }

// SendFailed tells the transaction of ref that its message could not be sent (17.1.4, 17.2.4).
func (s *Shard) SendFailed(ref transport.Ref, err error) {}

// ServerUser is what a server transaction reports to: the transaction user (RFC 3261 5).
type ServerUser interface {
	// Cancelled: a CANCEL for this INVITE came and has been answered 200; cancel is valid during the call. Called at most
	// once, and only while no final response has been sent.
	Cancelled(s *Shard, tx *Server, cancel *message.Message)
	// Ended: the transaction is over and is recycled after the call: never touch it again. A non-INVITE transaction that got no final response ends by
	// itself after 64*T1 (RFC 4320), with tx.Status() still below 200.
	Ended(s *Shard, tx *Server)
}

// Server is a server transaction (17.2). Its fields belong to the shard.
type Server struct {
	Request message.Message // own copy, until ReleaseRequest
	Flow    transport.Flow  // where responses go (18.2.2 already applied)
	// ...
}

// NewServer makes the server transaction of m. user may be nil. The request is copied.
func (s *Shard) NewServer(m *message.Message, from transport.Flow, user ServerUser) *Server {
	return nil
}

// Server returns the live transaction of a Ref, nil when it has ended.
func (s *Shard) Server(ref transport.Ref) *Server { return nil }

// Ref names the transaction across goroutines.
func (tx *Server) Ref() transport.Ref { return 0 }

// Status returns the last status sent, 0 before the first.
func (tx *Server) Status() int { return 0 }

// Invite tells INVITE transactions from others.
func (tx *Server) Invite() bool { return false }

// Tag returns the To tag of responses made here to this request: constant for the transaction, unguessable.
func (tx *Server) Tag() []byte { return nil }

// ReleaseRequest frees the request's copy when nobody will build from it again.
func (tx *Server) ReleaseRequest() {}

// Respond sends resp (a whole response, copied) with status in tx. A second final after the first is absorbed, except that
// further 2xx to an INVITE in Accepted are sent (RFC 6026). A 1xx other than 100 to a non-INVITE, a 100 to a non-INVITE over UDP
// before Timer E would have reached T2, and a 408 to a non-INVITE are not sent (RFC 4320 4).
func (s *Shard) Respond(tx *Server, status int, resp []byte) {}

// Failure says why a client transaction will bring no response.
type Failure uint8

// The failures.
const (
	Timeout       Failure = iota // Timer B or F
	TransportFail                // the message could not be sent
	CancelTimeout                // silent for 64*T1 after CANCEL (9.1)
)

// ClientUser is what a client transaction reports to.
type ClientUser interface {
	// Response: a provisional (every one but retransmissions cannot be told, so every one) or a final response, m valid during the call. Final: once, except that
	// each further 2xx to an INVITE is reported too (RFC 6026 Accepted); a retransmitted non-2xx final is absorbed (ACK sent again).
	Response(s *Shard, c *Client, m *message.Message)
	// Failed: no final response will come. Ended follows.
	Failed(s *Shard, c *Client, why Failure, err error)
	// Ended: the transaction is over and recycled after the call.
	Ended(s *Shard, c *Client)
}

// Client is a client transaction (17.1).
type Client struct {
	Index int            // the user's own: which branch this is
	Flow  transport.Flow // where requests go
	// ...
}

// NewClient reserves a client transaction, so that its branch is known before the request is written.
func (s *Shard) NewClient(user ClientUser) *Client { return nil }

// AppendBranch appends the branch parameter's value: magic cookie, boot id, shard, slot, generation, a secret cookie of
// the transaction, '.', loop in hex. All lower case.
func (c *Client) AppendBranch(dst []byte, loop uint64) []byte { return dst }

// LoopHash returns the loop value of a branch that a process of ours (any boot) wrote, ok false for others (RFC 5393 4.2.1).
func LoopHash(branch []byte) (loop uint64, ok bool) { return 0, false }

// Start sends req (copied) to flow in c and starts its timers.
func (s *Shard) Start(c *Client, flow transport.Flow, req []byte) {}

// Discard gives back a Client that was never started.
func (s *Shard) Discard(c *Client) {}

// Cancel cancels the INVITE of c (9.1): a CANCEL with fields goes out in a transaction of its own once a provisional
// response has come. After 64*T1 without a final response the user is told CancelTimeout. A second call does nothing.
// fields are copied.
func (s *Shard) Cancel(c *Client, fields []message.Field) {}

// Ref names the transaction across goroutines.
func (c *Client) Ref() transport.Ref { return 0 }

// Sent returns the request as sent, until the transaction ends.
func (c *Client) Sent() []byte { return nil }

// Provisional tells whether a provisional response has come.
func (c *Client) Provisional() bool { return false }

// Timer is a timer of a transaction user (Timer C, the q-group timer), in its shard's wheel. Embed it; the zero value is stopped.
type Timer struct {
	Fire func(s *Shard) // set once, called under the lock
	// ...
}

// Arm starts or restarts t to fire after d; Disarm stops it. Never early, at most one tick (10 ms) late.
func (s *Shard) Arm(t *Timer, d time.Duration) {}

// Disarm stops t.
func (s *Shard) Disarm(t *Timer) {}
