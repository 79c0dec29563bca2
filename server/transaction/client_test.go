package transaction

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"sipd/server/message"
	"sipd/server/transport"
)

func TestInviteClientTimerAB(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		r.startClient("INVITE", udpPeer, nil)
		r.at(40 * time.Second)
		r.want("0s INVITE", "500ms INVITE", "1.5s INVITE", "3.5s INVITE", "7.5s INVITE", "15.5s INVITE", "31.5s INVITE",
			"32s -> timeout", "32s -> ended")
	})
}

func TestInviteClientTimerBReliable(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		r.startClient("INVITE", tcpPeer, nil)
		r.at(40 * time.Second)
		r.want("0s INVITE", "32s -> timeout", "32s -> ended")
	})
}

func TestInviteClientProceeding(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		c, sent := r.startClient("INVITE", udpPeer, nil)
		r.at(700 * time.Millisecond)
		provisional := func(want bool) {
			r.do(func(*Shard) {
				if got := c.Provisional(); got != want {
					t.Errorf("Provisional: got %v, want %v", got, want)
				}
			})
		}
		provisional(false)
		r.respond(answer(sent, 100, "INVITE"), true)
		provisional(true)
		r.at(2 * time.Second)
		r.respond(answer(sent, 180, "INVITE"), true)
		r.respond(answer(sent, 180, "INVITE"), true)
		r.at(300 * time.Second) // No timer runs: Timer C is the user's.
		r.want("0s INVITE", "500ms INVITE", "700ms -> 100", "2s -> 180", "2s -> 180")
		r.respond(answer(sent, 200, "INVITE"), true)
		r.want("300s -> 200")
		r.do(func(*Shard) {
			if got := c.Sent(); got != nil {
				t.Errorf("Sent in Accepted: got %d bytes, want none", len(got))
			}
		})
		r.at(310 * time.Second)
		r.respond(answer(sent, 200, "INVITE"), true) // a retransmission or another fork's: the user's
		r.respond(answer(sent, 180, "INVITE"), true)
		r.respond(answer(sent, 486, "INVITE"), true)
		r.at(340 * time.Second)
		r.want("310s -> 200", "332s -> ended")
		r.respond(answer(sent, 200, "INVITE"), false)
		r.want()
	})
}

func TestInviteClientAccepted(t *testing.T) {
	for _, flow := range []transport.Flow{udpPeer, tcpPeer} {
		virtual(t, Config{}, func(r *rig) {
			_, sent := r.startClient("INVITE", flow, nil)
			r.respond(answer(sent, 200, "INVITE"), true)
			r.at(5 * time.Second)
			r.respond(answer(sent, 200, "INVITE"), true)
			r.at(40 * time.Second)
			r.want("0s INVITE", "0s -> 200", "5s -> 200", "32s -> ended") // Timer M on all transports
		})
	}
}

func TestInviteClientCompleted(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		var seen []byte
		u := &user{response: func(_ *Shard, c *Client, _ *message.Message) { seen = bytes.Clone(c.Sent()) }}
		c, sent := r.startClient("INVITE", udpPeer, u)
		r.at(time.Second)
		r.respond(answer(sent, 486, "INVITE"), true)
		r.want("0s INVITE", "500ms INVITE", "1s ACK", "1s -> 486")
		if !bytes.Equal(seen, sent) {
			t.Errorf("Sent while the final response is reported: got %q, want %q", seen, sent)
		}
		r.do(func(*Shard) {
			if got := c.Sent(); got != nil {
				t.Errorf("Sent after that: got %q, want nothing", got)
			}
		})
		ack := string(r.last().Data)
		for _, part := range []string{
			"ACK sip:bob@192.0.2.1:5062 SIP/2.0\r\n", "CSeq: 7 ACK\r\n", "To: Bob <sip:bob@example.org>;tag=b1\r\n",
			strings.Split(string(sent), "\r\n")[1], // the topmost Via
		} {
			if !strings.Contains(ack, part) {
				t.Errorf("ACK %q has no %q", ack, part)
			}
		}
		if strings.Contains(ack, "z9hG4bKup") {
			t.Errorf("ACK %q has more than the topmost Via", ack)
		}
		if got := r.last().To; got != udpPeer {
			t.Errorf("ACK went to %v, want %v", got, udpPeer)
		}
		r.at(3 * time.Second)
		r.respond(answer(sent, 486, "INVITE"), true)
		if again := string(r.last().Data); again != ack {
			t.Errorf("second ACK %q differs from the first %q", again, ack)
		}
		r.respond(answer(sent, 180, "INVITE"), true)
		r.respond(answer(sent, 200, "INVITE"), true) // A server cannot have both; absorbed.
		r.at(40 * time.Second)
		r.want("3s ACK", "33.04s -> ended") // Timer D
	})
}

func TestInviteClientCompletedReliable(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		_, sent := r.startClient("INVITE", tcpPeer, nil)
		r.respond(answer(sent, 100, "INVITE"), true)
		r.at(time.Second)
		r.respond(answer(sent, 404, "INVITE"), true)
		r.want("0s INVITE", "0s -> 100", "1s ACK", "1s -> 404", "1s -> ended") // Timer D is 0.
		r.respond(answer(sent, 404, "INVITE"), false)
		r.want()
	})
}

func TestClientTimerEF(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		r.startClient("BYE", udpPeer, nil)
		r.at(40 * time.Second)
		r.want("0s BYE", "500ms BYE", "1.5s BYE", "3.5s BYE", "7.5s BYE", "11.5s BYE", "15.5s BYE", "19.5s BYE", "23.5s BYE",
			"27.5s BYE", "31.5s BYE", "32s -> timeout", "32s -> ended")
	})
}

func TestClientProceeding(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		_, sent := r.startClient("MESSAGE", udpPeer, nil)
		r.at(time.Second)
		r.respond(answer(sent, 100, "MESSAGE"), true)
		r.at(10 * time.Second)
		r.respond(answer(sent, 100, "MESSAGE"), true)
		r.at(40 * time.Second)
		r.want("0s MESSAGE", "500ms MESSAGE", "1s -> 100", "1.5s MESSAGE", "5.5s MESSAGE", "9.5s MESSAGE", "10s -> 100",
			"13.5s MESSAGE", "17.5s MESSAGE", "21.5s MESSAGE", "25.5s MESSAGE", "29.5s MESSAGE", "32s -> timeout", "32s -> ended")
	})
}

func TestClientCompleted(t *testing.T) {
	for _, tt := range []struct {
		name   string
		flow   transport.Flow
		status int
		want   []string
	}{
		{"udp 200", udpPeer, 200, []string{"0s BYE", "500ms BYE", "1s -> 200", "6s -> ended"}}, // Timer K
		{"udp 481", udpPeer, 481, []string{"0s BYE", "500ms BYE", "1s -> 481", "6s -> ended"}},
		{"tcp 200", tcpPeer, 200, []string{"0s BYE", "1s -> 200", "1s -> ended"}},
		{"tcp 604", tcpPeer, 604, []string{"0s BYE", "1s -> 604", "1s -> ended"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, Config{}, func(r *rig) {
				c, sent := r.startClient("BYE", tt.flow, nil)
				r.do(func(*Shard) {
					if !bytes.Equal(c.Sent(), sent) {
						t.Errorf("Sent: got %q, want %q", c.Sent(), sent)
					}
				})
				r.at(time.Second)
				r.respond(answer(sent, tt.status, "BYE"), true)
				r.at(2 * time.Second)
				r.respond(answer(sent, tt.status, "BYE"), tt.flow.Proto == transport.UDP) // absorbed
				r.at(10 * time.Second)
				r.want(tt.want...)
			})
		})
	}
}

// TestStrayResponses: what no client transaction of ours can have caused is refused and changes nothing.
func TestStrayResponses(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		c, sent := r.startClient("INVITE", udpPeer, nil)
		branch := string(c.AppendBranch(nil, 42))
		ok := answer(sent, 200, "INVITE")
		change := func(at int, to string) string {
			return strings.Replace(ok, branch, branch[:at]+to+branch[at+len(to):], 1)
		}
		other := func(at int) string { // another letter at that place
			if branch[at] == 'a' {
				return "b"
			}
			return "a"
		}
		for _, tt := range []struct{ name, text string }{
			{"boot id", change(8, other(8))},
			{"generation", change(7+15, other(7+15))},
			{"secret cookie, first letter", change(7+20, other(7+20))},
			{"secret cookie, last letter", change(7+31, other(7+31))},
			{"loop", change(len(branch)-1, "0")},
			{"other branch", strings.Replace(ok, branch, "z9hG4bKother", 1)},
			{"RFC 2543 branch", strings.Replace(ok, branch, "other", 1)},
			{"another method", strings.Replace(ok, "7 INVITE", "7 BYE", 1)},
			{"CANCEL that was not sent", strings.Replace(ok, "7 INVITE", "7 CANCEL", 1)},
		} {
			m := parse(t, udpPeer, tt.text)
			r.do(func(s *Shard) {
				if s.Response(m, udpPeer) {
					t.Errorf("%s: the response was taken", tt.name)
				}
			})
		}
		// Another Call-ID is another shard, mostly.
		m := parse(t, udpPeer, ok)
		for _, id := range []string{"x1", "x2", "x3", "x4"} {
			if r.table.Shard([]byte(id)) != r.table.Shard([]byte("call1")) {
				r.doIn(id, func(s *Shard) {
					if s.Response(m, udpPeer) {
						t.Error("the response was taken in another shard")
					}
				})
			}
		}
		r.want("0s INVITE")
		r.respond(strings.Replace(ok, branch, strings.ToUpper(branch), 1), true)
		r.at(time.Second)
		r.respond(strings.Replace(ok, branch, strings.ToLower(branch), 1), true)
		r.want("0s -> 200", "1s -> 200")
	})
}

// TestRecycledClient: a late response finds nothing when its slot has a new owner.
func TestRecycledClient(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		c, sent := r.startClient("BYE", tcpPeer, nil)
		ref := c.Ref()
		r.respond(answer(sent, 200, "BYE"), true)
		c2, sent2 := r.startClient("BYE", tcpPeer, nil)
		if c2 != c {
			t.Fatalf("the slot was not used again")
		}
		if c2.Ref() == ref {
			t.Fatal("the slot has the same Ref again")
		}
		r.respond(answer(sent, 200, "BYE"), false)
		r.do(func(s *Shard) {
			if s.Client(ref) != nil {
				t.Error("the old Ref finds the new transaction")
			}
			s.SendFailed(ref, errors.New("late"))
			if s.Client(c2.Ref()) != c2 {
				t.Error("the new Ref does not find the transaction")
			}
		})
		r.respond(answer(sent2, 200, "BYE"), true)
		r.want("0s BYE", "0s -> 200", "0s -> ended", "0s BYE", "0s -> 200", "0s -> ended")
	})
}

func TestClientSendFailed(t *testing.T) {
	broken := errors.New("network unreachable")
	for _, tt := range []struct {
		name   string
		method string
		status int // of a response before the failure, 0 for none
		want   []string
	}{
		{"INVITE, Calling", "INVITE", 0, []string{"0s INVITE", "100ms -> transport failure", "100ms -> ended"}},
		{"INVITE, Proceeding", "INVITE", 100, []string{"0s INVITE", "0s -> 100"}},
		{"INVITE, Accepted", "INVITE", 200, []string{"0s INVITE", "0s -> 200"}},
		{"INVITE, Completed", "INVITE", 404, []string{"0s INVITE", "0s ACK", "0s -> 404", "100ms -> ended"}},
		{"BYE, Trying", "BYE", 0, []string{"0s BYE", "100ms -> transport failure", "100ms -> ended"}},
		{"BYE, Proceeding", "BYE", 100, []string{"0s BYE", "0s -> 100", "100ms -> transport failure", "100ms -> ended"}},
		{"BYE, Completed", "BYE", 200, []string{"0s BYE", "0s -> 200"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			virtual(t, Config{}, func(r *rig) {
				u := &user{failed: func(_ *Shard, _ *Client, _ Failure, err error) {
					if err != broken {
						t.Errorf("Failed: got error %v, want %v", err, broken)
					}
				}}
				c, sent := r.startClient(tt.method, udpPeer, u)
				if tt.status != 0 {
					r.respond(answer(sent, tt.status, tt.method), true)
				}
				r.at(100 * time.Millisecond)
				r.do(func(s *Shard) { s.SendFailed(c.Ref(), broken) })
				r.at(200 * time.Millisecond)
				r.want(tt.want...)
				if tt.status == 100 && tt.method == "INVITE" {
					r.respond(answer(sent, 200, tt.method), true) // its Proceeding has no timer
				}
			})
		})
	}
}

func TestDiscard(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		r.do(func(s *Shard) {
			c := s.NewClient(&user{r: r})
			s.Discard(c)
			s.Discard(c)
			s.Start(c, udpPeer, []byte("BYE sip:a@b SIP/2.0\r\n\r\n")) // too late: absorbed
			if s.Client(c.Ref()) != nil {
				t.Error("a discarded client is found")
			}
		})
		r.want()
	})
}
