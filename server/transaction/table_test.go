package transaction

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sipd/server/transport"
)

func TestNew(t *testing.T) {
	for _, tt := range []struct {
		name string
		cfg  Config
		want string // part of the error, "" for none
	}{
		{"no network", Config{}, "Config.Net is missing"},
		{"negative", Config{Net: &rig{}, Max: -1}, "Config.Max is -1"},
		{"too many", Config{Net: &rig{}, Max: maxShards*maxPerShard + 1}, "want 1 to "},
		{"default", Config{Net: &rig{}}, ""},
		{"one", Config{Net: &rig{}, Max: 1}, ""},
	} {
		table, err := New(tt.cfg)
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s: got error %v", tt.name, err)
		case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s: got error %v, want one with %q", tt.name, err, tt.want)
		case tt.want != "" && table != nil:
			t.Errorf("%s: got a table with the error", tt.name)
		}
	}
}

// TestTimer: never early, at most a tick late, whatever the phase; Arm restarts, Disarm stops.
func TestTimer(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		rnd := rand.New(rand.NewPCG(3, 4))
		type armed struct {
			Timer
			due   time.Time
			fired int
		}
		var all []*armed
		for i := range 300 {
			a := &armed{}
			d := time.Duration(rnd.Int64N(int64(200 * time.Second)))
			if i%3 == 0 {
				d = time.Duration(rnd.Int64N(int64(50 * time.Millisecond)))
			}
			a.Fire = func(s *Shard) {
				a.fired++
				if late := time.Since(a.due); late < 0 || late > tickLength {
					t.Errorf("timer of %v came %v late, want 0 to %v", d, late, tickLength)
				}
				if a.Armed() {
					t.Error("Armed while it fires")
				}
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(7 * time.Millisecond))))
			r.doIn(fmt.Sprint("call", i), func(s *Shard) {
				a.due = s.Now().Add(d)
				s.Arm(&a.Timer, d)
			})
			all = append(all, a)
		}
		time.Sleep(300 * time.Second)
		synctest.Wait()
		for i, a := range all {
			r.doIn(fmt.Sprint("call", i), func(*Shard) {
				if a.fired != 1 {
					t.Errorf("timer %d: fired %d times, want 1", i, a.fired)
				}
			})
		}
	})
}

func TestTimerRestart(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		timer := Timer{Fire: func(*Shard) { r.note("fire") }}
		arm := func(d time.Duration) { r.do(func(s *Shard) { s.Arm(&timer, d) }) }
		arm(10 * time.Second)
		r.at(time.Second)
		arm(20 * time.Second) // later
		r.at(12 * time.Second)
		r.want()
		arm(2 * time.Second) // earlier
		r.at(30 * time.Second)
		r.want("14s fire")
		arm(time.Second)
		r.do(func(s *Shard) {
			s.Disarm(&timer)
			s.Disarm(&timer)
			if timer.Armed() {
				t.Error("Armed after Disarm")
			}
		})
		r.at(40 * time.Second)
		r.want()
		arm(0)
		r.at(40*time.Second + tickLength)
		r.want("40s fire")
		var n int
		timer.Fire = func(s *Shard) {
			if n++; n < 3 {
				s.Arm(&timer, 3*time.Minute) // more than a turn of the wheel
			}
			r.note("again")
		}
		arm(5 * time.Millisecond)
		r.at(500 * time.Second)
		r.want("40.02s again", "220.02s again", "400.02s again")
	})
}

// TestTimersInOneTick: a timer may stop and start others that are due in the same tick.
func TestTimersInOneTick(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		timers := make([]Timer, 10)
		fired := 0
		for i := range timers {
			timers[i].Fire = func(s *Shard) {
				fired++
				for j := range timers {
					s.Disarm(&timers[j])
				}
				s.Arm(&timers[(i+1)%10], time.Second)
			}
		}
		r.do(func(s *Shard) {
			for i := range timers {
				s.Arm(&timers[i], time.Second)
			}
		})
		r.at(10500 * time.Millisecond)
		r.do(func(s *Shard) {
			if fired != 10 {
				t.Errorf("got %d timers fired in 10 s, want 10: one each second", fired)
			}
			for i := range timers {
				s.Disarm(&timers[i])
			}
		})
	})
}

// TestManyTimers: more than fireLimit timers of one tick all fire in it.
func TestManyTimers(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		timers := make([]Timer, 5*fireLimit/2)
		fired := 0
		r.do(func(s *Shard) {
			for i := range timers {
				timers[i].Fire = func(s *Shard) { fired++; s.Send(udpPeer, []byte("x y")) }
				s.Arm(&timers[i], time.Second)
			}
		})
		r.at(time.Second)
		r.do(func(*Shard) {
			if fired != len(timers) {
				t.Errorf("got %d timers fired, want %d", fired, len(timers))
			}
		})
		if len(r.sent) != len(timers) {
			t.Errorf("got %d messages sent, want %d", len(r.sent), len(timers))
		}
	})
}

// TestIdle: without timers nothing runs, and with one far away only once a turn of the wheel: virtual time could not pass
// in no time otherwise, and the log of wake-ups shows it.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outs := &rig{t: t, start: time.Now()}
		table, err := New(Config{Net: outs})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- table.Run(ctx) }()
		synctest.Wait()
		if got := table.planned.Load(); got != never {
			t.Errorf("an empty table sleeps until tick %d, want for ever", got)
		}
		time.Sleep(10 * 365 * 24 * time.Hour)
		var fired time.Time
		timer := Timer{Fire: func(*Shard) { fired = time.Now() }}
		s := table.Shard([]byte("call1"))
		s.Enter(outs.NewOut(), time.Now())
		due := time.Now().Add(time.Minute)
		s.Arm(&timer, time.Minute)
		s.Leave()
		synctest.Wait()
		if got := table.planned.Load(); got > int64(due.Sub(table.epoch)/tickLength) || got < int64(time.Since(table.epoch)/tickLength) {
			t.Errorf("with a timer in a minute it sleeps until tick %d, want one before the timer's", got)
		}
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if !fired.Equal(due) {
			t.Errorf("the timer fired at %v, want %v", fired, due)
		}
		stop()
		if err := <-done; err != context.Canceled {
			t.Errorf("Run: got %v, want context.Canceled", err)
		}
	})
}

// TestWake: setting a timer wakes Run only when Run would sleep beyond it, and never waits.
func TestWake(t *testing.T) {
	r := &rig{t: t, start: time.Now()}
	table, err := New(Config{Net: r})
	if err != nil {
		t.Fatal(err)
	}
	r.table = table
	for i, tt := range []struct {
		name    string
		planned int64
		delay   time.Duration
		want    int
	}{
		{"Run is awake", math.MinInt64, time.Second, 0},
		{"Run wakes earlier", 1, time.Second, 0},
		{"Run would wake too late", 1 << 40, time.Second, 1},
		{"Run sleeps for ever", never, time.Second, 1},
		{"it has been woken already", never, 100 * time.Millisecond, 1},
	} {
		table.planned.Store(tt.planned)
		if tt.want == 0 || i == 3 {
			for len(table.wake) > 0 {
				<-table.wake
			}
		}
		s := &table.shards[i] // a fresh one each
		s.Enter(r.NewOut(), time.Now())
		s.Arm(&Timer{}, tt.delay)
		s.Leave()
		if got := len(table.wake); got != tt.want {
			t.Errorf("%s: got %d wake-ups, want %d", tt.name, got, tt.want)
		}
	}
}

// TestPanicInTimer: a fault of a user costs its own event only.
func TestPanicInTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, start: time.Now()}
		table, err := New(Config{Net: r})
		if err != nil {
			t.Fatal(err)
		}
		r.table = table
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go table.Run(ctx)
		bad := Timer{Fire: func(*Shard) { panic("fault") }}
		good := Timer{Fire: func(*Shard) { r.note("good") }}
		u := &user{r: r, ended: func(*Shard) { panic("another") }}
		r.startClient("BYE", tcpPeer, u)
		r.do(func(s *Shard) {
			s.Arm(&bad, 33*time.Second)
			s.Arm(&good, 33*time.Second)
		})
		r.at(34 * time.Second)
		r.want("0s BYE", "32s -> timeout", "32s -> ended", "33s good")
		if got := table.Panics(); got != 2 {
			t.Errorf("Panics: got %d, want 2", got)
		}
		r.do(func(*Shard) {})
		if _, clients := table.Counts(); clients != 0 {
			t.Errorf("client transactions left: got %d, want 0", clients)
		}
	})
}

// TestPointersUntilLeave: what ended stays what it is until Leave, and Ended comes in Leave, never inside another call.
func TestPointersUntilLeave(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		inside := true
		ended := 0
		u := &user{r: r, ended: func(s *Shard) {
			ended++
			if inside {
				t.Error("Ended was called before Leave")
			}
			// It may make new ones.
			if ended == 1 {
				c := s.NewClient(nil)
				s.Discard(c)
			}
		}}
		m := parse(t, tcpPeer, request("MESSAGE", "z9hG4bKabc"))
		out := r.NewOut()
		s := r.table.Shard([]byte("call1"))
		s.Enter(out, time.Now())
		tx := s.NewServer(m, tcpPeer, serverUser{u})
		ref, tag := tx.Ref(), string(tx.Tag())
		s.Respond(tx, 200, reply(tx, 200)) // over at once: Timer J is 0
		if s.Server(ref) != nil {
			t.Error("an ended transaction is found")
		}
		s.Respond(tx, 200, reply(tx, 200)) // absorbed
		tx2 := s.NewServer(m, tcpPeer, serverUser{u})
		if tx2 == tx {
			t.Error("the struct was used again before Leave")
		}
		if tx.Ref() != ref || string(tx.Tag()) != tag || tx.Status() != 200 || tx.Request == nil {
			t.Error("an ended transaction changed before Leave")
		}
		s.Respond(tx2, 200, reply(tx2, 200))
		inside = false
		s.Leave()
		out.Flush()
		r.want("0s 200", "0s 200", "0s -> ended 200", "0s -> ended 200")
	})
}

// TestTags: every transaction has another To tag, which stays, and each letter of it is left to chance (19.3).
func TestTags(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		seen := map[string]bool{}
		var letters [tagLen]map[byte]bool
		for i := range letters {
			letters[i] = map[byte]bool{}
		}
		r.do(func(s *Shard) {
			for i := range 200 {
				m := parse(t, tcpPeer, request("MESSAGE", fmt.Sprint("z9hG4bK", i)))
				tx := s.NewServer(m, tcpPeer, nil)
				tag := string(tx.Tag())
				for i := range tag {
					letters[i][tag[i]] = true
				}
				if len(tag) != tagLen || strings.Trim(tag, base32) != "" || seen[tag] {
					t.Errorf("tag %d: got %q, want %d new letters", i, tag, tagLen)
				}
				seen[tag] = true
				s.Respond(tx, 200, reply(tx, 200))
				if string(tx.Tag()) != tag {
					t.Errorf("tag %d changed from %q to %q", i, tag, tx.Tag())
				}
			}
		})
		for i, l := range letters {
			if len(l) < len(base32)/2 {
				t.Errorf("letter %d of 200 tags: got %d different ones, want nearly all %d", i, len(l), len(base32))
			}
		}
	})
}

// TestMatchTable: transactions with the same hash are told apart, and growing loses none.
func TestMatchTable(t *testing.T) {
	var m matchTable
	m.init(byKey)
	var all []*Server
	for i := range 1000 {
		tx := &Server{key: []byte(fmt.Sprint(i))}
		tx.links[byKey].hash = uint64(i % 10)
		m.add(tx)
		all = append(all, tx)
	}
	find := func(tx *Server) bool {
		for p := *m.head(tx.links[byKey].hash); p != nil; p = p.links[byKey].next {
			if p == tx {
				return true
			}
		}
		return false
	}
	for i, tx := range all {
		if !find(tx) {
			t.Errorf("transaction %d is lost", i)
		}
		if i%2 == 0 {
			m.remove(tx)
			m.remove(tx)
		}
	}
	for i, tx := range all {
		if got, want := find(tx), i%2 == 1; got != want {
			t.Errorf("transaction %d: found %v, want %v", i, got, want)
		}
	}
	if m.count != 500 {
		t.Errorf("count: got %d, want 500", m.count)
	}
}

// TestConcurrent runs calls of many goroutines over all shards, with failures from Flush, while timers run.
func TestConcurrent(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		var failures atomic.Int64
		r.fail = func(o *transport.Out, p transport.Packet) {
			if p.Ref%5 == 0 {
				if s := r.table.ShardOf(p.Ref); s != nil {
					failures.Add(1)
					s.Enter(o, time.Now())
					s.SendFailed(p.Ref, fmt.Errorf("no route"))
					s.Leave()
				}
			}
		}
		var started, ended atomic.Int64
		var wg sync.WaitGroup
		for g := range 8 {
			wg.Go(func() {
				rnd := rand.New(rand.NewPCG(uint64(g), 1))
				for i := range 40 {
					flow := udpPeer
					if rnd.IntN(3) == 0 {
						flow = tcpPeer
					}
					method := [...]string{"INVITE", "BYE"}[rnd.IntN(2)]
					callID := fmt.Sprint("call-", g, "-", i%7)
					u := &user{r: r, quiet: true, ended: func(*Shard) { ended.Add(1) }}
					started.Add(2)
					var c *Client
					var tx *Server
					var sent []byte
					r.doIn(callID, func(s *Shard) {
						m := parse(t, flow, strings.Replace(request(method, fmt.Sprintf("z9hG4bK%d-%d", g, i)), "call1", callID, 1))
						if s.Request(m, flow) {
							t.Error("a new request was taken for an old one")
						}
						tx = s.NewServer(m, flow, serverUser{u})
						c = s.NewClient(u)
						sent = []byte(strings.Replace(string(ownRequest(c, method)), "call1", callID, 1))
						s.Start(c, flow, sent)
					})
					ref := tx.Ref()
					time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
					status := [...]int{100, 180, 200, 404, 503}[rnd.IntN(5)]
					r.doIn(callID, func(s *Shard) {
						if rnd.IntN(4) == 0 && s.Client(c.Ref()) == c {
							s.Cancel(c, nil)
						}
						s.Response(parse(t, flow, answer(sent, status, method)), flow)
						if tx := s.Server(ref); tx != nil {
							s.Respond(tx, status, reply(tx, status))
						}
					})
					r.doIn(callID, func(s *Shard) {
						s.Response(parse(t, flow, answer(sent, 487, method)), flow)
						if tx := s.Server(ref); tx != nil {
							s.Respond(tx, 487, reply(tx, 487))
						}
					})
				}
			})
		}
		wg.Wait()
		time.Sleep(2 * timerB)
		synctest.Wait()
		if started.Load() != ended.Load() {
			t.Errorf("transactions ended: got %d, want %d", ended.Load(), started.Load())
		}
		if failures.Load() == 0 {
			t.Error("no send failure was simulated")
		}
	})
}

// TestServerSize keeps what half a minute of completed transactions weighs in view.
func TestServerSize(t *testing.T) {
	r := &rig{t: t}
	table, err := New(Config{Net: r})
	if err != nil {
		t.Fatal(err)
	}
	r.table = table
	m := parse(t, udpPeer, request("MESSAGE", "z9hG4bKabc"))
	s := table.Shard(m.CallID())
	s.Enter(r.NewOut(), time.Now())
	tx := s.NewServer(m, udpPeer, nil)
	s.Respond(tx, 200, reply(tx, 200))
	tx.ReleaseRequest()
	s.Leave()
	p := table.Pools()
	if p.Requests != 0 || p.Buffers != 1 || p.BufferBytes != 512 || cap(tx.key) > 64 {
		t.Errorf("a completed transaction keeps %+v and a key of %d bytes, want one buffer of 512 bytes and a key of at most 64", p, cap(tx.key))
	}
}
