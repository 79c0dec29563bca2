package transaction

import (
	"strings"
	"testing"
	"time"
)

// RFC 3261 8.2.2.2: what is answered here is not answered twice when it comes by two paths.
func TestMerged(t *testing.T) {
	first := request("MESSAGE", "z9hG4bKabc")
	other := request("MESSAGE", "z9hG4bKother") // by another path
	virtual(t, Config{}, func(r *rig) {
		merged := func(text string) (yes bool) {
			m := parse(t, udpPeer, text)
			r.do(func(s *Shard) { yes = s.Merged(m) })
			return yes
		}
		if merged(other) {
			t.Error("before the first copy: got merged")
		}
		r.do(func(s *Shard) {
			tx := s.NewAnswered(parse(t, udpPeer, first), udpPeer)
			s.Respond(tx, 200, reply(tx, 200))
		})
		for _, tt := range []struct {
			name, text string
			want       bool
		}{
			{"another branch", other, true},
			{"another sent-by", strings.Replace(first, "192.0.2.1:5062", "192.0.2.3", 1), true},
			{"another To, which nobody compares", strings.Replace(other, "To: Bob <sip:bob@", "To: <sip:carol@", 1), true},
			{"in a dialog", strings.Replace(other, "To: Bob <sip:bob@example.org>", "To: Bob <sip:bob@example.org>;tag=b1", 1), false},
			{"another From tag", strings.Replace(other, "tag=a1", "tag=a2", 1), false},
			{"another CSeq number", strings.Replace(other, "CSeq: 7", "CSeq: 8", 1), false},
			{"another method", strings.ReplaceAll(other, "MESSAGE", "INFO"), false},
			{"to another user", strings.Replace(other, "MESSAGE sip:bob@", "MESSAGE sip:carol@", 1), false},
		} {
			if got := merged(tt.text); got != tt.want {
				t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
			}
		}
		r.at(40 * time.Second) // Timer J
		if merged(other) {
			t.Error("after the transaction's end: got merged")
		}
	})
	t.Run("proxied", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			r.startServer(first, udpPeer, &user{quiet: true})
			r.do(func(s *Shard) {
				if s.Merged(parse(t, udpPeer, other)) {
					t.Error("a spiral: got merged")
				}
			})
			r.at(40 * time.Second)
		})
	})
	t.Run("cancelled", func(t *testing.T) {
		virtual(t, Config{}, func(r *rig) {
			tx := r.startServer(request("INVITE", "z9hG4bKabc"), udpPeer, &user{quiet: true})
			r.receive(request("CANCEL", "z9hG4bKabc"), udpPeer, true)
			r.do(func(s *Shard) {
				if s.merges.count != 0 {
					t.Error("a CANCEL counts as a request that may be merged")
				}
			})
			r.reply(tx, 487)
			r.at(40 * time.Second)
		})
	})
}
