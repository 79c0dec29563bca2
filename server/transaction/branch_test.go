package transaction

import (
	"bytes"
	"strings"
	"testing"
)

func TestBranchRoundTrip(t *testing.T) {
	for _, id := range []identity{
		{},
		{boot: 0xffffffff, shard: 63, slot: 1<<slotBits - 1, gen: 0xffffffff, cookie: 1<<64 - 1},
		{boot: 1, shard: 2, slot: 3, gen: 4, cookie: 5},
	} {
		for _, loop := range []uint64{0, 1, 0x0123456789abcdef, 1<<64 - 1} {
			b := appendBranch(nil, id, loop)
			if len(b) != branchLen || !strings.HasPrefix(string(b), magicCookie) {
				t.Errorf("branch %q: want %d bytes after z9hG4bK", b, branchLen)
			}
			rest := b[len(magicCookie):]
			if !bytes.Equal(rest, bytes.ToLower(rest)) {
				t.Errorf("branch %q is not in lower case", b)
			}
			for _, text := range [][]byte{b, bytes.ToUpper(b), bytes.ToLower(b)} {
				got, gotLoop, ok := parseBranch(text)
				if !ok || got != id || gotLoop != loop {
					t.Errorf("parse %q: got %+v %x %v, want %+v %x", text, got, gotLoop, ok, id, loop)
				}
			}
		}
	}
}

func TestBranchForeign(t *testing.T) {
	own := string(appendBranch(nil, identity{boot: 7, gen: 1}, 99))
	for _, tt := range []struct{ name, branch string }{
		{"empty", ""},
		{"cookie only", "z9hG4bK"},
		{"other", "z9hG4bK776asdhds"},
		{"no cookie", "a" + own[1:]},
		{"short", own[:len(own)-1]},
		{"long", own + "0"},
		{"no dot", strings.Replace(own, ".", "-", 1)},
		{"bad letter", own[:10] + "1" + own[11:]},
		{"bad digit", own[:len(own)-1] + "g"},
	} {
		if _, _, ok := LoopHash([]byte(tt.branch)); ok {
			t.Errorf("%s: LoopHash takes %q for ours", tt.name, tt.branch)
		}
		if _, ok := ParseStatelessBranch([]byte(tt.branch)); ok {
			t.Errorf("%s: ParseStatelessBranch takes %q for ours", tt.name, tt.branch)
		}
	}
	if loop, stateless, ok := LoopHash([]byte(own)); !ok || stateless || loop != 99 {
		t.Errorf("LoopHash of another boot's branch: got %d %v %v, want 99 of a transaction", loop, stateless, ok)
	}
	if proof, ok := ParseStatelessBranch([]byte(own)); ok {
		t.Errorf("the branch of a transaction is read as stateless: %+v", proof)
	}
}

func TestRef(t *testing.T) {
	for _, kind := range []int{kindServer, kindClient, kindCancel} {
		for _, slot := range []uint32{0, 5, 1<<slotBits - 1} {
			for _, gen := range []uint32{1, 1<<32 - 1} {
				r := makeRef(kind, 63, slot, gen)
				if refKind(r) != kind || refShard(r) != 63 || refSlot(r) != slot || refGen(r) != gen {
					t.Errorf("ref %x: got %d %d %d %d, want %d 63 %d %d", r, refKind(r), refShard(r), refSlot(r), refGen(r), kind, slot, gen)
				}
			}
		}
	}
}

func FuzzBranch(f *testing.F) {
	f.Add([]byte("z9hG4bK776asdhds"))
	f.Add(appendBranch(nil, identity{boot: 7, shard: 9, slot: 11, gen: 1, cookie: 13}, 99))
	f.Fuzz(func(t *testing.T, b []byte) {
		id, loop, ok := parseBranch(b)
		if !ok {
			return
		}
		if again := appendBranch(nil, id, loop); !bytes.EqualFold(again, b) {
			t.Errorf("branch %q reads as %q", b, again)
		}
	})
}
