package location

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"

	"sipd/sipaddr"
)

func loaded(tb testing.TB, n int) (*Service, [][]byte) {
	tb.Helper()
	f := newFake()
	s, err := New(Config{Store: f})
	if err != nil {
		tb.Fatal(err)
	}
	keys := make([][]byte, n)
	for i := range keys {
		aor := sipaddr.AOR(fmt.Sprintf("user%07d@example.com", i))
		keys[i] = []byte(aor)
		b := Binding{
			ID: int64(i + 1), URI: fmt.Sprintf("sip:user%07d@192.0.2.1:5060;transport=udp", i), CallID: fmt.Sprintf("%032x@192.0.2.1", i), CSeq: 1, Q: 1000,
			InstanceID: fmt.Sprintf("<urn:uuid:%08x-0000-1000-8000-000a95a0e128>", i), UserAgent: "baresip v1.0.0 (x86_64/linux)",
			Expires: At(t0), Updated: At(t0), Source: addr("192.0.2.1:5060"), Local: addr("192.0.2.200:5060"),
		}
		b.prepare()
		s.publish(aor, []*Binding{&b})
	}
	return s, keys
}

func TestBindingsAllocatesOnce(t *testing.T) {
	s, keys := loaded(t, 10)
	if n := testing.AllocsPerRun(100, func() {
		if len(s.Bindings(keys[3])) != 1 {
			t.Fatal("not found")
		}
	}); n != 1 {
		t.Errorf("got %v allocations, want 1", n)
	}
}

// A million contacts are to fit into 600 bytes each, all in all: make scale has a million.
func TestSizeOfBindings(t *testing.T) {
	n := 40_000
	if text := os.Getenv("SIPD_SCALE_USERS"); text != "" {
		var err error
		if n, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := heap()
	s, keys := loaded(t, n)
	clear(keys)
	keys = nil
	each := int64(heap()-before) / int64(n)
	t.Logf("%d bindings: %d bytes each", n, each)
	if each > 400 { // A third of the 600 is for what is not the heap's.
		t.Errorf("got %d bytes a binding, want at most 400", each)
	}
	runtime.KeepAlive(s)
	runtime.KeepAlive(keys)
}

func BenchmarkBindings(b *testing.B) {
	s, keys := loaded(b, 100_000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if s.Bindings(keys[i*7919%len(keys)]) == nil {
				b.Fatal("not found")
			}
		}
	})
}

// BenchmarkApply is the rules for one refresh.
func BenchmarkApply(b *testing.B) {
	before := []*Binding{bound(1, "sip:alice@192.0.2.1:5060;transport=udp", "x", 1)}
	b.ReportAllocs()
	for b.Loop() {
		c := Change{CallID: "y", CSeq: 2, Now: t0, Max: 20, Set: []*Binding{bound(0, "sip:alice@192.0.2.1:5060;transport=udp", "y", 2)}}
		if _, err := apply(before, &c, func() int64 { return 5 }); err != nil {
			b.Fatal(err)
		}
	}
}
