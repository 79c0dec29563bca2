package transaction

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"sipd/server/transport"
)

func TestInviteServer100(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, nil)
		r.at(100 * time.Millisecond)
		r.receive(request("INVITE", "z9hG4bKabc"), udpPeer, true) // nothing to send yet
		r.at(time.Second)
		r.want("200ms 100")
		if got := r.status(tx); got != 100 {
			t.Errorf("Status: got %d, want 100", got)
		}
		if got := string(r.last().Data); !strings.Contains(got, "To: Bob <sip:bob@example.org>\r\n") {
			t.Errorf("100 %q: want a To without tag", got)
		}
		r.receive(request("INVITE", "z9hG4bKabc"), udpPeer, true)
		r.reply(tx, 183)
		r.receive(request("INVITE", "z9hG4bKabc"), udpPeer, true)
		r.want("1s 100", "1s 183", "1s 183")
		r.at(200 * time.Second)
		r.want() // no timer in Proceeding
		r.reply(tx, 200)
		r.want("200s 200")
		if p := r.table.Pools(); p.Buffers != 0 {
			t.Errorf("buffers in Accepted: got %d, want none", p.Buffers)
		}
		r.at(210 * time.Second)
		r.receive(request("INVITE", "z9hG4bKabc"), udpPeer, true) // absorbed (RFC 6026)
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, false)   // the user's
		r.reply(tx, 200)                                          // another 2xx
		r.reply(tx, 486)                                          // absorbed
		r.reply(tx, 180)                                          // absorbed
		r.at(240 * time.Second)
		r.want("210s 200", "232s -> ended 200") // Timer L
		r.receive(request("INVITE", "z9hG4bKabc"), udpPeer, false)
	})
}

func TestInviteServerNo100(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, nil)
		r.at(100 * time.Millisecond)
		r.reply(tx, 180)
		r.at(10 * time.Second)
		r.want("100ms 180")
		r.reply(tx, 486)
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, true)
		r.want("10s 486")
	})
}

func TestInviteServerCompleted(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, nil)
		r.reply(tx, 486)
		r.at(time.Second)
		r.receive(request("INVITE", "z9hG4bKabc"), udpPeer, true)
		r.reply(tx, 200) // absorbed
		r.reply(tx, 503) // absorbed
		r.at(40 * time.Second)
		// Timer G: T1, doubling up to T2; Timer H ends it.
		r.want("0s 486", "500ms 486", "1s 486", "1.5s 486", "3.5s 486", "7.5s 486", "11.5s 486", "15.5s 486", "19.5s 486",
			"23.5s 486", "27.5s 486", "31.5s 486", "32s -> ended 486 without ACK")
	})
}

func TestInviteServerConfirmed(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, nil)
		r.reply(tx, 404)
		r.do(func(*Shard) { tx.ReleaseRequest() })
		if tx.Request != nil {
			t.Error("Request after ReleaseRequest: got one, want nil")
		}
		r.at(700 * time.Millisecond)
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, true)
		if p := r.table.Pools(); p.Buffers != 0 || p.Requests != 0 {
			t.Errorf("Confirmed: got %d buffers and %d requests in use, want none", p.Buffers, p.Requests)
		}
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, true)
		r.receive(request("INVITE", "z9hG4bKabc"), udpPeer, true)
		r.at(10 * time.Second)
		r.want("0s 404", "500ms 404", "5.76s -> ended 404") // Timer I
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, false)
	})
}

func TestInviteServerReliable(t *testing.T) {
	t.Run("ACK", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("INVITE", "z9hG4bKabc"), tcpPeer, nil)
			r.reply(tx, 404)
			r.at(5 * time.Second)
			r.receive(request("ACK", "z9hG4bKabc"), tcpPeer, true)
			r.want("0s 404", "5s -> ended 404") // no Timer G, Timer I is 0
		})
	})
	t.Run("no ACK", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("INVITE", "z9hG4bKabc"), tcpPeer, nil)
			r.reply(tx, 404)
			r.at(40 * time.Second)
			r.want("0s 404", "32s -> ended 404 without ACK") // Timer H
		})
	})
	t.Run("2xx", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("INVITE", "z9hG4bKabc"), tcpPeer, nil)
			r.reply(tx, 200)
			r.at(40 * time.Second)
			r.want("0s 200", "32s -> ended 200") // Timer L on all transports
		})
	})
}

func TestServer(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("MESSAGE", "z9hG4bKabc"), udpPeer, nil)
		r.at(500 * time.Millisecond)
		r.receive(request("MESSAGE", "z9hG4bKabc"), udpPeer, true) // absorbed in Trying
		r.at(time.Second)
		r.reply(tx, 200)
		r.reply(tx, 404) // absorbed
		r.at(5 * time.Second)
		r.receive(request("MESSAGE", "z9hG4bKabc"), udpPeer, true)
		r.at(40 * time.Second)
		r.want("1s 200", "5s 200", "33.04s -> ended 200") // Timer J
	})
}

func TestServerReliable(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("MESSAGE", "z9hG4bKabc"), tcpPeer, nil)
		r.at(time.Second)
		r.reply(tx, 403)
		r.want("1s 403", "1s -> ended 403") // Timer J is 0.
	})
}

// TestServer4320: what RFC 4320 wants of a non-INVITE that is not answered in time, and what it forbids.
func TestServer4320(t *testing.T) {
	t.Run("no answer", func(t *testing.T) {
		for _, flow := range []transport.Flow{udpPeer, tcpPeer} {
			virtual(t, Config{}, func(r *rig) {
				tx := r.startServer(request("MESSAGE", "z9hG4bKabc"), flow, nil)
				r.reply(tx, 408)
				r.reply(tx, 180)
				r.reply(tx, 199)
				r.at(7500 * time.Millisecond)
				r.receive(request("MESSAGE", "z9hG4bKabc"), flow, true)
				r.reply(tx, 408)
				r.at(40 * time.Second)
				r.want("3.5s 100", "7.5s 100", "32s -> ended 100")
			})
		}
	})
	t.Run("early 100", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("MESSAGE", "z9hG4bKabc"), udpPeer, nil)
			r.at(3490 * time.Millisecond)
			r.reply(tx, 100)
			if got := r.status(tx); got != 0 {
				t.Errorf("Status: got %d, want 0: the 100 must not be sent yet", got)
			}
			r.at(4 * time.Second)
			r.reply(tx, 100)
			r.reply(tx, 200)
			r.want("3.5s 100", "4s 100", "4s 200")
		})
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("MESSAGE", "z9hG4bKabc"), tcpPeer, nil)
			r.reply(tx, 100) // any time on a reliable transport
			r.at(10 * time.Second)
			r.reply(tx, 200)
			r.want("0s 100", "10s 200", "10s -> ended 200")
		})
	})
	t.Run("never answered, request released", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("MESSAGE", "z9hG4bKabc"), udpPeer, nil)
			r.do(func(*Shard) { tx.ReleaseRequest(); tx.ReleaseRequest() })
			r.at(40 * time.Second)
			r.want("32s -> ended 0")
		})
	})
}

func TestServerMatching(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		text := request("INVITE", "z9hG4bKabc")
		tx := r.startServer(text, udpPeer, nil)
		r.receive(strings.Replace(text, "z9hG4bKabc", "Z9HG4BKABC", 1), udpPeer, true)
		r.receive(strings.Replace(text, "To: Bob", "To: Robert", 1), udpPeer, true) // only branch, sent-by and method count
		r.receive(strings.Replace(text, "z9hG4bKabc", "z9hG4bKabd", 1), udpPeer, false)
		r.receive(strings.Replace(text, "192.0.2.1:5062", "192.0.2.2:5062", 1), udpPeer, false)
		r.receive(strings.Replace(text, "192.0.2.1:5062", "192.0.2.1:5061", 1), udpPeer, false)
		r.receive(request("MESSAGE", "z9hG4bKabc"), udpPeer, false)
		r.receive(request("FOO", "z9hG4bKabc"), udpPeer, false)
		r.receive(request("ACK", "z9hG4bKabd"), udpPeer, false)
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, true) // nothing to acknowledge yet: absorbed
		r.reply(tx, 404)
		r.want("0s 404")
	})
	t.Run("host in another case", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			text := strings.Replace(request("FOO", "z9hG4bKabc"), "192.0.2.1:5062", "Phone.Example.ORG", 1)
			tx := r.startServer(text, udpPeer, nil)
			r.receive(strings.Replace(text, "Phone.Example.ORG", "phone.example.org", 1), udpPeer, true)
			r.receive(strings.Replace(text, "Phone.Example.ORG", "phone.example.com", 1), udpPeer, false)
			r.receive(strings.ReplaceAll(text, "FOO", "BAR"), udpPeer, false) // both methods are unknown ones
			r.reply(tx, 501)
			r.want("0s 501")
		})
	})
}

// TestRFC2543 matches requests of clients that have no branch, or one without magic cookie (17.2.3).
func TestRFC2543(t *testing.T) {
	for _, branch := range []string{"", ";branch=1"} {
		t.Run(branch, func(t *testing.T) {
			old := func(method string) string {
				return strings.Replace(request(method, "X"), ";branch=X", branch, 1)
			}
			tagged := func(method, tag string) string {
				return strings.Replace(old(method), "To: Bob <sip:bob@example.org>", "To: Bob <sip:bob@example.org>;tag="+tag, 1)
			}
			ack := func(tag string) string { return tagged("ACK", tag) }
			virtual(t, Config{}, func(r *rig) {
				tx := r.startServer(old("INVITE"), udpPeer, nil)
				tag := string(tx.Tag())
				text := old("INVITE")
				r.receive(text, udpPeer, true)
				for _, other := range []string{
					strings.Replace(text, "INVITE sip:bob@", "INVITE sip:carol@", 1),
					strings.Replace(text, "tag=a1", "tag=a2", 1),
					strings.ReplaceAll(text, "CSeq: 7", "CSeq: 8"),
					strings.Replace(text, "Call-ID: call1", "Call-ID: call2", 1), // received in the same shard
					strings.Replace(text, "192.0.2.1:5062", "192.0.2.1:5063", 1),
					tagged("INVITE", "z"),
					old("MESSAGE"),
				} {
					r.receive(other, udpPeer, false)
				}
				r.receive(old("CANCEL"), udpPeer, true)
				r.want("0s -> cancelled", "0s 200")
				r.reply(tx, 487)
				r.receive(ack("other"), udpPeer, false) // acknowledges another response
				r.receive(ack(tag), udpPeer, true)
				r.receive(ack(tag), udpPeer, true)
				r.at(10 * time.Second)
				r.want("0s 487", "5.04s -> ended 487")
			})
			virtual(t, Config{}, func(r *rig) {
				tx := r.startServer(old("INVITE"), udpPeer, nil)
				r.reply(tx, 200)
				r.receive(ack(string(tx.Tag())), udpPeer, false) // RFC 6026 6: the user's
				r.receive(old("INVITE"), udpPeer, true)
				r.want("0s 200")
			})
			virtual(t, Config{}, func(r *rig) {
				tx := r.startServer(tagged("INVITE", "z"), udpPeer, nil)
				r.receive(tagged("INVITE", "z"), udpPeer, true)
				r.receive(old("CANCEL"), udpPeer, false)
				refusal := strings.Replace(string(reply(tx, 486)), "tag="+string(tx.Tag()), "tag=z", 1)
				r.do(func(s *Shard) { s.Respond(tx, 486, []byte(refusal)) })
				r.receive(ack("other"), udpPeer, false)
				r.receive(ack("z"), udpPeer, true)
				r.at(10 * time.Second)
				r.want("0s 486", "5.04s -> ended 486")
			})
			virtual(t, Config{}, func(r *rig) { // Transactions of one hash would all be compared with each message.
				hashes := map[uint64]bool{}
				for i := range 100 {
					tx := r.startServer(tagged("MESSAGE", fmt.Sprint(i)), udpPeer, nil)
					r.do(func(*Shard) { hashes[tx.links[byKey].hash] = true })
				}
				if len(hashes) != 100 {
					t.Errorf("100 To tags have %d hashes", len(hashes))
				}
			})
		})
	}
}

func TestServerSendFailed(t *testing.T) {
	broken := errors.New("broken pipe")
	t.Run("state stays", func(t *testing.T) { // RFC 6026 8.8
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, nil)
			r.reply(tx, 180)
			r.do(func(s *Shard) { s.SendFailed(tx.Ref(), broken) })
			r.receive(request("INVITE", "z9hG4bKabc"), udpPeer, true)
			r.reply(tx, 486)
			r.do(func(s *Shard) { s.SendFailed(tx.Ref(), broken) })
			r.receive(request("ACK", "z9hG4bKabc"), udpPeer, true)
			r.do(func(s *Shard) { s.SendFailed(tx.Ref(), broken) })
			r.at(40 * time.Second)
			r.want("0s 180", "0s 180", "0s 486", "5.04s -> ended 486")
		})
	})
	t.Run("another connection", func(t *testing.T) { // 18.2.2
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("INVITE", "z9hG4bKabc"), tcpPeer, nil)
			r.reply(tx, 486)
			if got := r.last().To.Conn; got != tcpPeer.Conn {
				t.Errorf("first response: got connection %d, want %d", got, tcpPeer.Conn)
			}
			r.do(func(s *Shard) { s.SendFailed(tx.Ref(), broken) })
			r.want("0s 486", "0s 486")
			if got := r.last().To; got.Conn != 0 || got.Remote.String() != "192.0.2.1:5062" {
				t.Errorf("second response: got %+v, want no connection and 192.0.2.1:5062", got)
			}
			r.do(func(s *Shard) { s.SendFailed(tx.Ref(), broken) })
			r.want()
		})
	})
	t.Run("foreign", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			if r.table.ShardOf(0) != nil {
				t.Error("ShardOf(0): got a shard, want nil")
			}
			for _, ref := range []transport.Ref{1, 1 << 62, 2 << 62, 3<<62 | 5<<56 | 9, 1<<64 - 1} {
				if s := r.table.ShardOf(ref); s != nil {
					s.Enter(r.NewOut(), time.Now())
					s.SendFailed(ref, broken)
					if s.Server(ref) != nil || s.Client(ref) != nil {
						t.Errorf("ref %x finds a transaction", ref)
					}
					s.Leave()
				}
			}
		})
	})
}

func TestFull(t *testing.T) {
	virtual(t, Config{Max: 2 * shardsFor(runtime.NumCPU())}, func(r *rig) {
		var clients []*Client
		r.do(func(s *Shard) {
			for i := range 3 {
				m := parse(t, udpPeer, request("MESSAGE", "z9hG4bKabc"+string(rune('a'+i))))
				if tx := s.NewServer(m, udpPeer, nil); (tx != nil) != (i < 2) {
					t.Errorf("server transaction %d: got %v", i, tx)
				}
				c := s.NewClient(nil)
				if (c != nil) != (i < 2) {
					t.Errorf("client transaction %d: got %v", i, c)
				}
				if c != nil {
					clients = append(clients, c)
				}
			}
			for _, c := range clients {
				s.Discard(c)
			}
		})
		r.do(func(s *Shard) {
			c := s.NewClient(nil)
			if c == nil {
				t.Fatal("NewClient after Discard returned nil")
			}
			s.Discard(c)
			if tx := s.NewServer(parse(t, udpPeer, request("ACK", "z9hG4bKnew")), udpPeer, nil); tx != nil {
				t.Error("NewServer of an ACK returned a transaction")
			}
		})
	})
}

func TestEachServer(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		u := &user{}
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, u)
		r.receive(request("CANCEL", "z9hG4bKabc"), udpPeer, true)
		out := r.NewOut()
		n := 0
		r.table.EachServer(out, time.Now(), func(s *Shard, got *Server) {
			n++
			if got != tx || got.User() != (serverUser{u}) {
				t.Errorf("EachServer: got %p of %v, want %p of %v", got, got.User(), tx, u)
			}
			s.Respond(got, 503, reply(got, 503))
		})
		out.Flush()
		if n != 1 {
			t.Errorf("EachServer: got %d calls, want 1", n)
		}
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, true)
		r.want("0s -> cancelled", "0s 200", "0s 503")
	})
}

func TestAnswered(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, nil)
		for _, tt := range []struct {
			name   string
			before func()
			text   string
			want   bool
		}{
			{"nothing yet", func() {}, request("INVITE", "z9hG4bKabc"), false},
			{"ringing", func() { r.reply(tx, 180) }, request("INVITE", "z9hG4bKabc"), false},
			{"refused", func() { r.reply(tx, 486) }, request("INVITE", "z9hG4bKabc"), true},
			{"its CANCEL", func() {}, request("CANCEL", "z9hG4bKabc"), false},
			{"another request", func() {}, request("INVITE", "z9hG4bKabd"), false},
			{"a response", func() {}, strings.ReplaceAll(string(reply(tx, 486)), "\r\n", "\n"), false},
		} {
			tt.before()
			if got := r.table.Answered(parse(t, udpPeer, tt.text)); got != tt.want {
				t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
			}
		}
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, true)
		r.want("0s 180", "0s 486")
	})
}
