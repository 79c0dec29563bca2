package soak

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// A telephone that rings until it is cancelled does so for the crowd's own calls. A mutated one that has found it ends at once: the
// server would wait for Timer C, long after the run.
func TestMutatedCallsDoNotRing(t *testing.T) {
	for _, word := range []string{rings, late} {
		for callID, want := range map[string][]int{newCallID(): {180}, "mutated-1": {180, 486}} {
			synctest.Test(t, func(t *testing.T) {
				p := newPhones(newAccount())
				l := newLine("UDP", "192.0.2.1:5060", p.request)
				var got []int
				l.write = func(text string) { got = append(got, Status(text)) }
				p.request(l, fmt.Sprintf("INVITE sip:%s-r1-0@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.2;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:r1@b>\r\nCall-ID: %s\r\nCSeq: 1 INVITE\r\n\r\n", word, callID))
				time.Sleep(2 * afterlife) // Until all timers have ended.
				p.mu.Lock()
				defer p.mu.Unlock()
				if got = slices.Compact(got); !slices.Equal(got, want) {
					t.Errorf("%s, %s: got %v, want %v", word, callID, got, want)
				}
			})
		}
	}
}
