package calltrace

import "testing"

// TestNames: names that look alike at a glance have numbers of their own, and keep them.
func TestNames(t *testing.T) {
	var n names
	n.init()
	list := []string{"", "user", "uxer", "users", "uzer", "a", "domain", "dxmain"}
	if place("domain") != place("dxmain") {
		t.Fatal("got two places, want names that share one")
	}
	ids := map[uint16]string{}
	for range 3 {
		for _, name := range list {
			id := n.id(name)
			if got := n.name(uint64(id)); got != name || id == 0 {
				t.Errorf("%q: got number %d, which is %q", name, id, got)
			}
			if other, ok := ids[id]; ok && other != name {
				t.Errorf("got number %d for %q and %q", id, other, name)
			}
			ids[id] = name
		}
	}
	if len(ids) != len(list) {
		t.Errorf("got %d numbers, want %d", len(ids), len(list))
	}
}
