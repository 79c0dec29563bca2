package location

import (
	"fmt"
	"hash/maphash"
	"math"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sipd/sipaddr"
)

func TestPacked(t *testing.T) {
	zone := netip.MustParseAddrPort("[fe80::1%" + strings.Repeat("e", 300) + "]:1")
	lists := map[string][]*Binding{
		"none":  {},
		"empty": {{}},
		"full": {{
			ID: math.MaxInt64, UserID: -1, URI: "sip:a@192.0.2.1", DisplayName: "ü", CallID: strings.Repeat("c", 300), InstanceID: "<urn:x>", UserAgent: "agent", Methods: "INVITE",
			Path: []string{"<sip:p1;lr>", ""}, Expires: 1 << 62, Updated: -5, Q: 1000, RegID: 1 << 40, Conn: math.MaxUint64, CSeq: math.MaxUint32, Action: 2, Proto: 4, ByFlow: true, NextProto: 3,
			Source: netip.MustParseAddrPort("192.0.2.1:65535"), Local: netip.MustParseAddrPort("[2001:db8::1]:5060"), Next: netip.MustParseAddrPort("[::ffff:192.0.2.1]:1"),
		}},
		"two": {{ID: 1, URI: "sip:a"}, {ID: 2, Source: netip.MustParseAddrPort("[fe80::1%eth0]:5060"), Q: -1}},
	}
	for name, want := range lists {
		t.Run(name, func(t *testing.T) {
			u := unpacker(appendEntry(nil, "alice@example.com", want))
			if aor := u.text(); aor != "alice@example.com" {
				t.Errorf("got %q, want alice's AOR", aor)
			}
			if got := u.bindings(); len(got) != len(want) || len(want) > 0 && !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
			if u != "" {
				t.Errorf("%d bytes are left", len(u))
			}
		})
	}
	u := unpacker(appendBinding(nil, &Binding{Source: zone, URI: "sip:a"}))
	var b Binding
	if u.binding(&b); b.Source.IsValid() || b.URI != "sip:a" {
		t.Errorf("got %+v, want no address for one that nobody has", b)
	}
}

// Random changes against a map; the table grows through many splits, and shrinks.
func TestTableAgainstModel(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	tab := &table{seed: maphash.MakeSeed()}
	model := map[sipaddr.AOR][]*Binding{}
	check := func() {
		t.Helper()
		n := 0
		for i := range tab.shard {
			n += tab.shard[i].aors
			tab.shard[i].each(func(aor sipaddr.AOR, u unpacker) bool {
				n--
				if got := u.bindings(); !reflect.DeepEqual(got, model[aor]) {
					t.Fatalf("each %s: got %+v, want %+v", aor, got, model[aor])
				}
				return true
			})
		}
		if n != 0 {
			t.Fatalf("counted %d AORs more than there are", n)
		}
		for aor, want := range model {
			if got := tab.list(aor); !reflect.DeepEqual(got, want) {
				t.Fatalf("list %s: got %+v, want %+v", aor, got, want)
			}
		}
	}
	const most = 30_000
	for step := range 3 * most {
		aor := sipaddr.AOR(fmt.Sprint("u", r.IntN(most), "@example.com"))
		var list []*Binding
		chance := 8 // of ten that he has bindings
		if step > 2*most {
			chance = 1
		}
		if r.IntN(10) < chance {
			for i := range 1 + r.IntN(3) {
				list = append(list, &Binding{ID: int64(step), Q: i, URI: strings.Repeat("x", r.IntN(300))})
			}
		}
		tab.put(aor, list)
		if model[aor] = list; list == nil {
			delete(model, aor)
		}
		if step%most == most-1 {
			check()
		}
	}
	if got := tab.list("nobody@example.com"); got != nil {
		t.Errorf("got %v, want none", got)
	}
	for i := range tab.shard {
		if s := &tab.shard[i]; len(s.buckets) < 2 {
			t.Fatalf("shard %d has %d buckets: it never split", i, len(s.buckets))
		}
	}
}
