package transaction

import (
	"errors"
	"strings"
	"testing"
	"time"

	"sipd/server/message"
)

func TestCancelAfterProvisional(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		c, sent := r.startClient("INVITE", udpPeer, nil)
		r.respond(answer(sent, 180, "INVITE"), true)
		r.at(time.Second)
		reason := []byte(`SIP;cause=200;text="Call completed elsewhere"`)
		r.do(func(s *Shard) {
			s.Cancel(c, []message.Field{{Name: "Reason", Value: reason}})
			copy(reason, "overwritten") // copied by now
			s.Cancel(c, nil)
		})
		r.want("0s INVITE", "0s -> 180", "1s CANCEL")
		cancel := string(r.last().Data)
		for _, part := range []string{
			"CANCEL sip:bob@192.0.2.1:5062 SIP/2.0\r\n", "CSeq: 7 CANCEL\r\n", `SIP;cause=200;text="Call completed elsewhere"`,
			strings.Split(string(sent), "\r\n")[1],
		} {
			if !strings.Contains(cancel, part) {
				t.Errorf("CANCEL %q has no %q", cancel, part)
			}
		}
		if got := r.last().To; got != udpPeer {
			t.Errorf("CANCEL went to %v, want %v", got, udpPeer)
		}
		r.at(2 * time.Second) // Timer E of the CANCEL at 1.5 s
		r.want("1.5s CANCEL")
		r.respond(answer(sent, 200, "CANCEL"), true)
		r.at(3 * time.Second)
		r.respond(answer(sent, 200, "CANCEL"), true)
		r.respond(answer(sent, 487, "INVITE"), true)
		r.at(40 * time.Second)
		r.want("3s ACK", "3s -> 487", "35.04s -> ended")
	})
}

// TestCancelBeforeProvisional: the CANCEL waits for a provisional response (9.1).
func TestCancelBeforeProvisional(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		c, sent := r.startClient("INVITE", udpPeer, nil)
		r.do(func(s *Shard) { s.Cancel(c, nil) })
		r.at(time.Second)
		r.want("0s INVITE", "500ms INVITE")
		r.respond(answer(sent, 100, "INVITE"), true)
		r.want("1s -> 100", "1s CANCEL")
		r.respond(answer(sent, 481, "CANCEL"), true) // absorbed: the INVITE goes on
		r.at(2 * time.Second)
		r.respond(answer(sent, 200, "INVITE"), true) // crossing
		r.at(40 * time.Second)
		r.want("2s -> 200", "34s -> ended")
	})
}

// TestCancelThenFinal: a final response before any provisional one makes the CANCEL pointless.
func TestCancelThenFinal(t *testing.T) {
	for _, tt := range []struct {
		status int
		want   []string
	}{
		{200, []string{"0s INVITE", "0s -> 200", "32s -> ended"}},
		{486, []string{"0s INVITE", "0s ACK", "0s -> 486", "32s -> ended"}},
	} {
		virtual(t, Config{}, func(r *rig) {
			c, sent := r.startClient("INVITE", udpPeer, nil)
			r.do(func(s *Shard) { s.Cancel(c, nil) })
			r.respond(answer(sent, tt.status, "INVITE"), true)
			if p := r.table.Pools(); p.Cancels != 0 {
				t.Errorf("%d: got %d CANCELs kept, want none", tt.status, p.Cancels)
			}
			r.do(func(s *Shard) { s.Cancel(c, nil) })
			r.at(40 * time.Second)
			r.want(tt.want...)
		})
	}
}

func TestCancelThenTimerB(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		c, _ := r.startClient("INVITE", tcpPeer, nil)
		r.at(time.Second)
		r.do(func(s *Shard) { s.Cancel(c, nil) })
		r.at(40 * time.Second)
		r.want("0s INVITE", "32s -> timeout", "32s -> ended")
	})
}

func TestCancelTimeout(t *testing.T) {
	t.Run("nobody answers", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			c, sent := r.startClient("INVITE", tcpPeer, nil)
			r.respond(answer(sent, 180, "INVITE"), true)
			r.at(time.Second)
			r.do(func(s *Shard) { s.Cancel(c, nil) })
			r.at(10 * time.Second)
			r.respond(answer(sent, 180, "INVITE"), true) // puts nothing off
			r.at(40 * time.Second)
			r.want("0s INVITE", "0s -> 180", "1s CANCEL", "10s -> 180", "33s -> cancel timeout", "33s -> ended")
		})
	})
	t.Run("only the CANCEL is answered", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			c, sent := r.startClient("INVITE", udpPeer, nil)
			r.respond(answer(sent, 180, "INVITE"), true)
			r.do(func(s *Shard) { s.Cancel(c, nil) })
			r.respond(answer(sent, 200, "CANCEL"), true)
			r.at(10 * time.Second)
			if p := r.table.Pools(); p.Cancels != 0 {
				t.Errorf("after Timer K: got %d CANCELs, want none", p.Cancels)
			}
			r.respond(answer(sent, 200, "CANCEL"), false) // its transaction is over
			r.at(40 * time.Second)
			r.want("0s INVITE", "0s -> 180", "0s CANCEL", "32s -> cancel timeout", "32s -> ended")
		})
	})
	t.Run("the CANCEL cannot be sent", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			c, sent := r.startClient("INVITE", udpPeer, nil)
			r.respond(answer(sent, 180, "INVITE"), true)
			r.do(func(s *Shard) { s.Cancel(c, nil) })
			ref := r.last().Ref
			r.do(func(s *Shard) { s.SendFailed(ref, errors.New("refused")) })
			r.at(40 * time.Second)
			r.want("0s INVITE", "0s -> 180", "0s CANCEL", "32s -> cancel timeout", "32s -> ended")
			r.do(func(s *Shard) { s.SendFailed(ref, errors.New("refused")) })
		})
	})
}

// TestCancelInCallback: the user cancels while it is told of the provisional response.
func TestCancelInCallback(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		u := &user{response: func(s *Shard, c *Client, m *message.Message) {
			if m.Status() == 180 {
				s.Cancel(c, nil)
			}
		}}
		_, sent := r.startClient("INVITE", udpPeer, u)
		r.respond(answer(sent, 180, "INVITE"), true)
		r.want("0s INVITE", "0s -> 180", "0s CANCEL")
		r.respond(answer(sent, 200, "CANCEL"), true)
		r.respond(answer(sent, 487, "INVITE"), true)
		r.want("0s ACK", "0s -> 487")
	})
}

func TestCancelOther(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		c, sent := r.startClient("BYE", udpPeer, nil)
		r.respond(answer(sent, 100, "BYE"), true)
		r.do(func(s *Shard) { s.Cancel(c, nil) }) // 9.1: only INVITE
		r.respond(answer(sent, 200, "BYE"), true)
		r.at(10 * time.Second)
		r.want("0s BYE", "0s -> 100", "0s -> 200", "5.04s -> ended")
	})
}

func TestCancelReceived(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		u := &user{cancel: func(s *Shard, tx *Server) { s.Respond(tx, 487, reply(tx, 487)) }}
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, u)
		r.reply(tx, 180)
		r.at(time.Second)
		r.receive(request("CANCEL", "z9hG4bKabc"), udpPeer, true)
		r.want("0s 180", "1s -> cancelled", "1s 200", "1s 487")
		r.mu.Lock()
		ok := string(r.sent[len(r.sent)-2].Data)
		r.mu.Unlock()
		if !strings.Contains(ok, "tag="+string(tx.Tag())) || !strings.Contains(ok, "CSeq: 7 CANCEL\r\n") {
			t.Errorf("200 to CANCEL %q: want the To tag %s and CSeq 7 CANCEL", ok, tx.Tag())
		}
		r.at(1100 * time.Millisecond)
		r.receive(request("CANCEL", "z9hG4bKABC"), udpPeer, true) // a retransmission, branch in another case
		r.receive(request("ACK", "z9hG4bKabc"), udpPeer, true)
		r.at(50 * time.Second)
		r.want("1.1s 200", "6.16s -> ended 487")
	})
}

// TestCancelReceivedLate: a CANCEL after the final response is answered 200 and changes nothing (9.2).
func TestCancelReceivedLate(t *testing.T) {
	for _, status := range []int{200, 404} {
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("INVITE", "z9hG4bKabc"), tcpPeer, nil)
			r.reply(tx, status)
			r.at(time.Second)
			r.mu.Lock()
			r.log = nil
			r.mu.Unlock()
			r.receive(request("CANCEL", "z9hG4bKabc"), tcpPeer, true)
			r.want("1s 200")
		})
	}
}

// TestCancelReceivedTwice: over TCP the CANCEL's transaction is over at once, but the user hears of one only.
func TestCancelReceivedTwice(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), tcpPeer, nil)
		r.receive(request("CANCEL", "z9hG4bKabc"), tcpPeer, true)
		r.receive(request("CANCEL", "z9hG4bKabc"), tcpPeer, true)
		r.reply(tx, 487)
		r.receive(request("ACK", "z9hG4bKabc"), tcpPeer, true)
		r.want("0s -> cancelled", "0s 200", "0s 200", "0s 487", "0s -> ended 487")
	})
}

func TestCancelUnknown(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, nil)
		r.receive(request("CANCEL", "z9hG4bKabd"), udpPeer, false)
		r.receive(strings.Replace(request("CANCEL", "z9hG4bKabc"), "192.0.2.1:5062", "192.0.2.1:5063", 1), udpPeer, false)
		r.receive(strings.Replace(request("CANCEL", "z9hG4bKabc"), "192.0.2.1:5062", "192.0.2.1", 1), udpPeer, false)
		r.reply(tx, 200)
		r.want("0s 200")
	})
}

// TestCancelOfOther: a CANCEL of a non-INVITE transaction is answered 200 and has no effect (9.2).
func TestCancelOfOther(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		r.startServer(request("MESSAGE", "z9hG4bKabc"), udpPeer, nil)
		r.receive(request("CANCEL", "z9hG4bKabc"), udpPeer, true)
		r.want("0s 200")
	})
}

// TestCancelWhenFull: without room for its transaction a CANCEL is answered all the same.
func TestCancelWhenFull(t *testing.T) {
	virtual(t, Config{Max: 1}, func(r *rig) {
		tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, nil)
		r.receive(request("CANCEL", "z9hG4bKabc"), udpPeer, true)
		r.receive(request("CANCEL", "z9hG4bKabc"), udpPeer, true)
		r.want("0s -> cancelled", "0s 200", "0s 200")
		r.reply(tx, 487)
	})
}
