package transaction

import "testing"

func TestSlots(t *testing.T) {
	x := slots[int]{limit: 2}
	a, ai, ag := x.take()
	b, bi, bg := x.take()
	if a == nil || b == nil || ai == bi {
		t.Fatalf("take: got %v at %d and %v at %d, want two places", a, ai, b, bi)
	}
	if p, _, _ := x.take(); p != nil {
		t.Error("take beyond the limit returned a struct")
	}
	if x.get(ai, ag) != a || x.get(bi, bg) != b {
		t.Error("get does not find what take returned")
	}
	x.give(ai)
	if x.get(ai, ag) != nil {
		t.Error("get finds what was given back")
	}
	c, ci, cg := x.take()
	if c != a || ci != ai || cg == ag {
		t.Errorf("take after give: got index %d generation %d, want index %d with a generation other than %d", ci, cg, ai, ag)
	}
	if x.get(ci, ag) != nil {
		t.Error("get finds a new struct under the old generation")
	}
	if x.get(99, 1) != nil {
		t.Error("get finds an index that never was")
	}
	x.all[ci].gen = 1<<32 - 1
	x.give(ci)
	if _, _, g := x.take(); g != 1 {
		t.Errorf("generation after the last one: got %d, want 1", g)
	}
}

// TestSlotsSpare: after a peak only maxSpare structs stay, and places are used again.
func TestSlotsSpare(t *testing.T) {
	const peak = 3 * maxSpare
	x := slots[[64]byte]{limit: peak}
	for range 2 {
		for range peak {
			if p, _, _ := x.take(); p == nil {
				t.Fatal("take below the limit returned nil")
			}
		}
		for i := range peak {
			x.give(uint32(i))
		}
		if x.spare != maxSpare || x.live != 0 {
			t.Errorf("after a peak: got %d spare, %d live, want %d and 0", x.spare, x.live, maxSpare)
		}
		kept := 0
		for _, e := range x.all {
			if e.p != nil {
				kept++
			}
		}
		if kept != maxSpare || len(x.all) != peak {
			t.Errorf("after a peak: got %d structs in %d places, want %d in %d", kept, len(x.all), maxSpare, peak)
		}
	}
}

func TestBuffers(t *testing.T) {
	var b buffers
	for _, n := range []int{0, 1, 512, 513, 4096, 65535, 65536, 65537, 200000} {
		data := make([]byte, n)
		for i := range data {
			data[i] = byte(i)
		}
		buf := b.copyOf(data)
		if string(buf) != string(data) {
			t.Errorf("%d bytes: the copy differs", n)
		}
		if b.out != 1 {
			t.Errorf("%d bytes: got %d buffers in use, want 1", n, b.out)
		}
		b.give(buf)
		if b.out != 0 || b.used != 0 {
			t.Errorf("%d bytes given back: got %d buffers of %d bytes in use, want none", n, b.out, b.used)
		}
	}
	b.give(nil)
	var many [][]byte
	for range 3 * maxFreeBytes / 512 {
		many = append(many, b.take(100))
	}
	for _, buf := range many {
		b.give(buf)
	}
	if got, want := len(b.free[0]), maxFreeBytes/512; got != want {
		t.Errorf("buffers kept after a peak: got %d, want %d", got, want)
	}
}
