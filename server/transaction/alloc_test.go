package transaction

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"sipd/server/message"
	"sipd/server/transport"
)

// call is the messages of one proxied call, to be run through a table again and again without allocating.
type call struct {
	invite, ack         message.Message
	callID              []byte
	ownInvite           []byte // with room for the branch at branchAt
	branchAt            int
	fromBelow           [3][]byte // 180, 200, 486 with room for the branch
	belowAt             [3]int
	up180, up200, up486 []byte
}

// quietUser is both kinds of user and does nothing.
type quietUser struct{ ended int }

func (u *quietUser) Response(*Shard, *Client, *message.Message) {}
func (u *quietUser) Failed(*Shard, *Client, Failure, error)     {}
func (u *quietUser) Ended(*Shard, *Client)                      { u.ended++ }

type quietServerUser struct{ quietUser }

func (u *quietServerUser) Cancelled(*Shard, *Server, *message.Message) {}
func (u *quietServerUser) Ended(*Shard, *Server)                       { u.ended++ }

var room = strings.Repeat("B", branchLen)

func newCall(tb testing.TB, i int) *call {
	id := fmt.Sprintf("call-%d", i)
	with := func(text string) []byte { return []byte(strings.Replace(crlf(text), "call1", id, 1)) }
	c := &call{callID: []byte(id)}
	branch := fmt.Sprintf("z9hG4bKup%d", i)
	for m, text := range map[*message.Message]string{
		&c.invite: request("INVITE", branch), &c.ack: request("ACK", branch),
	} {
		m.Source = udpPeer.Remote
		if err := m.Index(with(text)); err != nil {
			tb.Fatal(err)
		}
	}
	own := strings.Replace(request("INVITE", room), "Max-Forwards", "Via: SIP/2.0/UDP 192.0.2.77;branch=z9hG4bKup\nMax-Forwards", 1)
	c.ownInvite = with(own)
	c.branchAt = strings.Index(string(c.ownInvite), room)
	for i, status := range []int{180, 200, 486} {
		c.fromBelow[i] = with(answer([]byte(crlf(own)), status, "INVITE"))
		c.belowAt[i] = strings.Index(string(c.fromBelow[i]), room)
	}
	c.up180, c.up200, c.up486 = with(answer([]byte(crlf(own)), 180, "INVITE")), with(answer([]byte(crlf(own)), 200, "INVITE")), with(answer([]byte(crlf(own)), 486, "INVITE"))
	return c
}

// bench is a table whose time the test makes pass.
type bench struct {
	tb    testing.TB
	table *Table
	out   *transport.Out
	now   time.Time
	sent  int
	m     message.Message
	text  []byte
	su    quietServerUser
	cu    quietUser
}

func newBench(tb testing.TB) *bench {
	table, err := New(Config{Net: &rig{}})
	if err != nil {
		tb.Fatal(err)
	}
	b := &bench{tb: tb, table: table, now: time.Now()}
	b.out = transport.NewOut(func(_ *transport.Out, p []transport.Packet) { b.sent += len(p) })
	return b
}

// pass lets time pass and fires what is due.
func (b *bench) pass(d time.Duration) {
	b.now = b.now.Add(d)
	tick := int64(b.now.Sub(b.table.epoch) / tickLength)
	for i := range b.table.shards {
		if s := &b.table.shards[i]; s.next.Load() <= tick {
			for b.table.fire(s, b.out, b.now, tick) == fireLimit {
			}
		}
	}
	b.out.Flush()
}

// below gives the table the response at index i of c from downstream.
func (b *bench) below(s *Shard, c *call, i int, branch []byte) {
	copy(c.fromBelow[i][c.belowAt[i]:], branch)
	if err := b.m.Index(c.fromBelow[i]); err != nil {
		b.tb.Fatal(err)
	}
	if !s.Response(&b.m, udpPeer) {
		b.tb.Fatal("a response was refused")
	}
}

// run is the whole life of a call up to its final response: INVITE up and down, 100, 180, and 200, or 486 with both ACKs.
func (b *bench) run(c *call, busy bool) {
	s := b.table.Shard(c.callID)
	s.Enter(b.out, b.now)
	if s.Request(&c.invite, udpPeer) {
		b.tb.Fatal("a new INVITE was taken for an old one")
	}
	tx := s.NewServer(&c.invite, udpPeer, &b.su)
	b.text = message.AppendResponse(b.text[:0], tx.Request, 100, "", nil, nil, nil)
	s.Respond(tx, 100, b.text)
	cl := s.NewClient(&b.cu)
	var branch [branchLen]byte
	cl.AppendBranch(branch[:0], 42)
	copy(c.ownInvite[c.branchAt:], branch[:])
	s.Start(cl, udpPeer, c.ownInvite)
	ref := tx.Ref()
	s.Leave()
	b.out.Flush()

	s.Enter(b.out, b.now)
	b.below(s, c, 0, branch[:])
	s.Respond(s.Server(ref), 180, c.up180)
	s.Leave()
	b.out.Flush()

	s.Enter(b.out, b.now)
	if busy {
		b.below(s, c, 2, branch[:])
		s.Respond(tx, 486, c.up486)
		s.Request(&c.ack, udpPeer)
	} else {
		b.below(s, c, 1, branch[:])
		s.Respond(tx, 200, c.up200)
	}
	tx.ReleaseRequest()
	s.Leave()
	b.out.Flush()
}

// TestNoAllocation: once the pools are warm, a call costs no allocation, from the INVITE to the end of both transactions.
func TestNoAllocation(t *testing.T) {
	b := newBench(t)
	calls := make([]*call, 50)
	for i := range calls {
		calls[i] = newCall(t, i)
	}
	for _, busy := range []bool{false, true} {
		life := func() {
			for _, c := range calls {
				b.run(c, busy)
				b.pass(20 * time.Millisecond)
			}
			for range 70 {
				b.pass(500 * time.Millisecond)
			}
		}
		life()
		if got := testing.AllocsPerRun(5, life); got != 0 {
			t.Errorf("busy %v: got %v allocations in %d calls, want 0", busy, got, len(calls))
		}
		if servers, clients := b.table.Counts(); servers != 0 || clients != 0 {
			t.Errorf("busy %v: got %d server, %d client transactions left, want none", busy, servers, clients)
		}
	}
	if b.su.ended == 0 || b.su.ended != b.cu.ended {
		t.Errorf("ended: got %d server, %d client transactions, want the same number", b.su.ended, b.cu.ended)
	}
}

// BenchmarkCall is what the transaction layer adds to a call of INVITE, 100, 180, 200 at a steady 3000 calls a second: it
// has the 2 x 96,000 transactions of the last 32 s in hand. 486 adds two ACKs.
func BenchmarkCall(b *testing.B) {
	for _, busy := range []bool{false, true} {
		name := "200"
		if busy {
			name = "486"
		}
		b.Run(name, func(b *testing.B) {
			n := newBench(b)
			calls := make([]*call, 110_000) // a branch is used again after its transaction ended
			for i := range calls {
				calls[i] = newCall(b, i)
			}
			next := 0
			step := func() {
				n.run(calls[next], busy)
				if next = next + 1; next == len(calls) {
					next = 0
				}
				if next%30 == 0 {
					n.pass(tickLength)
				}
			}
			for range 2 * len(calls) {
				step()
			}
			runtime.GC()
			b.ReportAllocs()
			b.ResetTimer()
			for b.Loop() {
				step()
			}
			b.StopTimer()
			servers, clients := n.table.Counts()
			b.ReportMetric(float64(servers+clients), "transactions")
		})
	}
}

// BenchmarkMemory reports the heap of a completed call's two transactions.
func BenchmarkMemory(b *testing.B) {
	const count = 20000
	calls := make([]*call, count)
	for i := range calls {
		calls[i] = newCall(b, i)
	}
	for b.Loop() {
		var before, after runtime.MemStats
		n := newBench(b)
		runtime.GC()
		runtime.ReadMemStats(&before)
		for _, c := range calls {
			n.run(c, false)
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapInuse-before.HeapInuse)/count, "B/call")
		runtime.KeepAlive(n)
	}
}
