package transaction

import (
	"strings"
	"testing"
	"time"
)

// TestUnreadableInvite: a user that sends something that is no message harms itself only: no ACK and no CANCEL can be
// built, and the transaction ends all the same.
func TestUnreadableInvite(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		u := &user{r: r}
		start := func() (c *Client, looks []byte) {
			r.do(func(s *Shard) {
				c = s.NewClient(u)
				looks = ownRequest(c, "INVITE")
				s.Start(c, udpPeer, []byte("INVITE nonsense"))
			})
			return c, looks
		}
		_, looks := start()
		r.respond(answer(looks, 486, "INVITE"), true)
		r.at(time.Second)
		r.respond(answer(looks, 486, "INVITE"), true)
		r.at(33 * time.Second)
		r.want("0s INVITE", "0s -> 486", "32s -> ended")

		c, looks := start()
		r.do(func(s *Shard) { s.Cancel(c, nil) })
		r.respond(answer(looks, 180, "INVITE"), true)
		r.do(func(s *Shard) { s.Cancel(c, nil) })
		r.respond(answer(looks, 200, "CANCEL"), false)
		r.at(70 * time.Second)
		r.want("33s INVITE", "33s -> 180", "65s -> cancel timeout", "65s -> ended")
	})
}

func TestWrongKind(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		c, sent := r.startClient("FOO", tcpPeer, nil)
		response := parse(t, tcpPeer, answer(sent, 200, "FOO"))
		wrong := parse(t, tcpPeer, strings.Replace(answer(sent, 200, "FOO"), "7 FOO", "7 BAR", 1))
		r.do(func(s *Shard) {
			if s.Request(response, tcpPeer) {
				t.Error("Request took a response")
			}
			if s.Response(parse(t, tcpPeer, request("FOO", string(c.AppendBranch(nil, 42)))), tcpPeer) {
				t.Error("Response took a request")
			}
			if s.Response(wrong, tcpPeer) {
				t.Error("Response took one with another unknown method")
			}
			if !s.Response(response, tcpPeer) {
				t.Error("Response refused the right one")
			}
		})
		tx := r.startServer(request("FOO", "z9hG4bKabc"), tcpPeer, nil)
		for _, status := range []int{-1, 0, 99, 700, 1 << 20} {
			r.do(func(s *Shard) { s.Respond(tx, status, []byte("nonsense")) })
		}
		r.reply(tx, 200)
		r.want("0s FOO", "0s -> 200", "0s -> ended", "0s 200", "0s -> ended 200")
	})
}

// TestLargeMessages: what a large message took is not kept.
func TestLargeMessages(t *testing.T) {
	virtual(t, Config{}, func(r *rig) {
		text := request("MESSAGE", "z9hG4bK"+strings.Repeat("x", 2*maxKeptKey))
		text = strings.Replace(text, "Max-Forwards: 70", "Max-Forwards: 70\nSubject: "+strings.Repeat("y", 2*maxKeptMessage), 1)
		tx := r.startServer(text, tcpPeer, nil)
		r.receive(text, tcpPeer, true)
		r.reply(tx, 200)
		r.do(func(s *Shard) {
			if cap(tx.key) != 0 {
				t.Errorf("key kept: got %d bytes, want none", cap(tx.key))
			}
			for _, m := range s.messages.free {
				if len(m.Raw()) != 0 {
					t.Errorf("request kept: got %d bytes, want none", len(m.Raw()))
				}
			}
		})
		r.want("0s 200", "0s -> ended 200")
	})
}

func TestFailureString(t *testing.T) {
	for f, want := range map[Failure]string{Timeout: "timeout", TransportFail: "transport failure", CancelTimeout: "cancel timeout", 9: "unknown failure"} {
		if got := f.String(); got != want {
			t.Errorf("Failure %d: got %q, want %q", f, got, want)
		}
	}
}
