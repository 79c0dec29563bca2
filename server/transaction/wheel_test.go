package transaction

import (
	"math/rand/v2"
	"testing"
)

// TestWheel sets, moves and clears many timers at random and compares with a plain list: every node comes at the first
// look at or after its tick, none before, none twice.
func TestWheel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	var w wheel
	const n = 500
	nodes := make([]node, n)
	due := make([]int64, n) // 0: not set
	now := int64(0)
	index := map[*node]int{}
	for i := range nodes {
		index[&nodes[i]] = i
	}
	for range 20000 {
		i := rnd.IntN(n)
		switch rnd.IntN(8) {
		case 0:
			w.clear(&nodes[i])
			due[i] = 0
		case 1, 2, 3, 4:
			delay := rnd.Int64N(100)
			if rnd.IntN(3) == 0 {
				delay = rnd.Int64N(5 * wheelSlots)
			}
			if due[i] != 0 && now+delay >= due[i] {
				continue // set leaves such a node at its earlier tick
			}
			due[i] = max(now+delay, now+1)
			if got := w.set(&nodes[i], now+delay); got != due[i] {
				t.Fatalf("set(%d) at %d: got tick %d, want %d", now+delay, now, got, due[i])
			}
		default:
			step := rnd.Int64N(20)
			if rnd.IntN(50) == 0 {
				step = rnd.Int64N(10 * wheelSlots)
			}
			first := int64(never)
			for _, d := range due {
				if d != 0 {
					first = min(first, d)
				}
			}
			if next := w.next(); next > first {
				t.Fatalf("next at %d: got %d, which is after the first timer, %d", now, next, first)
			}
			now += step
			for {
				p := w.pop(now)
				if p == nil {
					break
				}
				j := index[p]
				if due[j] == 0 || due[j] > now {
					t.Fatalf("at %d: node %d came, due %d", now, j, due[j])
				}
				due[j] = 0
			}
			for j, d := range due {
				if d != 0 && d <= now {
					t.Fatalf("at %d: node %d due %d did not come", now, j, d)
				}
			}
		}
	}
	for i := range nodes {
		w.clear(&nodes[i])
	}
	if next := w.next(); next != never {
		t.Errorf("next of an empty wheel: got %d, want never", next)
	}
	for i, l := range w.lists {
		if l != nil {
			t.Errorf("list %d of an empty wheel is not empty", i)
		}
	}
	for i, u := range w.used {
		if u != 0 {
			t.Errorf("word %d of an empty wheel: got bits %x, want 0", i, u)
		}
	}
}

// TestWheelSetAgain: a node set again moves, to later and to earlier.
func TestWheelSetAgain(t *testing.T) {
	var w wheel
	var n node
	w.set(&n, 50)
	if got := w.set(&n, 80); got != 80 {
		t.Errorf("set for later: got tick %d, want 80", got)
	}
	if next := w.next(); next != 80 {
		t.Errorf("next: got %d, want 80", next)
	}
	if got := w.set(&n, 20); got != 20 {
		t.Errorf("set for earlier: got tick %d, want 20", got)
	}
	if p := w.pop(19); p != nil {
		t.Error("pop(19) returned a node due at 20")
	}
	if p := w.pop(20); p != &n {
		t.Error("pop(20) did not return the node due at 20")
	}
	if got := w.set(&n, 3); got != 21 {
		t.Errorf("set for the past: got tick %d, want 21, the next", got)
	}
}
