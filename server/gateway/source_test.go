package gateway

import (
	"net/netip"
	"testing"

	"sipd/server/trust"
	"sipd/trace"
)

func TestSource(t *testing.T) {
	net := func(s string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(s)} }
	list := []Config{
		{ID: 1, Name: "a", Nets: net("192.0.2.0/24"), InboundClass: "pstn"},
		{ID: 2, Name: "b", Nets: net("192.0.2.7/32"), InboundClass: "other"},
		{ID: 3, Name: "c", TLSName: "c.example"},
		{ID: 4, Name: "d", Nets: net("203.0.113.0/24"), TLSName: "d.example", InboundClass: "d", Drained: true},
		{ID: 5, Name: "e", URI: "sip:198.51.100.1"}, // Where its requests go says nothing of where they come from.
	}
	for _, tt := range []struct {
		name, addr string
		speaks     string
		want       string
		class      string
	}{
		{"a network", "192.0.2.200", "", "a", "pstn"},
		{"the first row that has it", "192.0.2.7", "", "a", "pstn"},
		{"IPv4 mapped into IPv6", "::ffff:192.0.2.200", "", "a", "pstn"},
		{"a certificate", "10.0.0.1", "c.example", "c", ""},
		{"network and certificate, drained", "203.0.113.1", "d.example", "d", "d"},
		{"network without certificate", "203.0.113.1", "", "", ""},
		{"network, another certificate", "203.0.113.1", "e.example", "", ""},
		{"certificate from elsewhere", "10.0.0.1", "d.example", "", ""},
		{"neither network nor certificate in the row", "198.51.100.1", "", "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := trust.Facts{Addr: netip.MustParseAddr(tt.addr)}
			if tt.speaks != "" {
				f.SpeaksFor = func(name string) bool { return name == tt.speaks }
			}
			var tr trace.Trace
			g := Source(list, &f, &tr)
			name, class, id := "", "", int64(0)
			if g != nil {
				name, class, id = g.Name, g.InboundClass, g.ID
			}
			if name != tt.want || class != tt.class {
				t.Errorf("got %q with class %q, want %q with %q", name, class, tt.want, tt.class)
			}
			steps := tr.Steps()
			if len(steps) != 1 || steps[0].Row != id || (steps[0].Verdict == trace.Match) != (g != nil) {
				t.Errorf("got the trace %+v", steps)
			}
		})
	}
	var tr trace.Trace
	if g := Source(nil, &trust.Facts{Addr: netip.MustParseAddr("192.0.2.1")}, &tr); g != nil || len(tr.Steps()) != 0 {
		t.Errorf("no gateways: got %v and %d steps", g, len(tr.Steps()))
	}
}
