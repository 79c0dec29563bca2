package server_test

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/internal/siptest"
	"sipd/internal/siptest/flow"
	"sipd/server/gateway"
	"sipd/server/transport"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
)

// onGateways runs f beside a server that has one gateway, which gets OPTIONS. head is lines of a flow: the peers.
func onGateways(t *testing.T, head, uri string, f func(r *rig, gw func() gateway.Status)) {
	t.Helper()
	parsed, err := flow.Parse(t.Name(), "# RFC 3261 11: "+t.Name()+"\n"+head+"\nquiet 1s\n")
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		n := siptest.NewNet(siptest.ServerAddr, siptest.ServerAddr6)
		if slices.Contains(parsed.Listens, "tls") {
			n.Listen(transport.TLS, netip.AddrPortFrom(siptest.ServerAddr.Addr(), 5061))
		}
		for i := range parsed.DNS {
			if err := n.Names.Change(parsed.DNS[i]); err != nil {
				t.Fatal(err)
			}
		}
		for _, peer := range parsed.Peers {
			n.Host(peer.Addr).Dead = peer.Dead
		}
		mem := storetest.New()
		fill(t, mem, parsed)
		p := boot(t, n, parsed, mem, &rows{t: t, got: make(chan store.LogRow, maxRows)})
		defer p.stop(t)
		tab := p.server.Gateways()
		tab.Configure([]gateway.Config{{ID: 1, Name: "gw", URI: uri}}, time.Now())
		// What gw returns is read under a lock that the server takes, too: what a test has changed before is seen.
		f(&rig{T: t, net: n, system: &siptest.System{Transactions: func() (int, int) {
			st := p.server.Status()
			return st.ServerTransactions, st.ClientTransactions
		}}}, func() gateway.Status {
			synctest.Wait()
			return tab.List(time.Now())[0]
		})
		if got := p.server.Status().Panics; got != 0 {
			t.Errorf("got %d panics, want none", got)
		}
	})
}

// probes answers what comes to h for a while, before it is sent again, and returns it.
func (r *rig) probes(h *siptest.Host, d time.Duration, status string) (got []string) {
	r.Helper()
	for ; d > 0; d -= 100 * time.Millisecond {
		r.wait(100 * time.Millisecond)
		for _, a := range h.Take() {
			text := strings.ReplaceAll(string(a.Data), "\r\n", "\n")
			got = append(got, text)
			if status == "" {
				continue
			}
			answer := strings.ReplaceAll(response(text, status, 1), "\n", "\r\n")
			if a.Conn == nil {
				h.Send([]byte(answer))
			} else if err := a.Conn.Send([]byte(answer)); err != nil {
				r.Error(err)
			}
		}
	}
	return got
}

func TestProbe(t *testing.T) {
	onGateways(t, "peer gw 10.0.0.50", "sip:10.0.0.50", func(r *rig, gw func() gateway.Status) {
		h := r.host("10.0.0.50")
		got := r.probes(h, 2*time.Minute, "405 Method Not Allowed")
		if len(got) < 4 || len(got) > 6 {
			t.Fatalf("got %d OPTIONS in two minutes, want one each 30 s", len(got))
		}
		for _, want := range []string{"OPTIONS sip:10.0.0.50 SIP/2.0\n", "\nVia: SIP/2.0/UDP 10.0.0.100:5060;branch=z9hG4bK", "\nMax-Forwards: 70\n",
			"\nFrom: <sip:10.0.0.100:5060>;tag=", "\nTo: <sip:10.0.0.50>\n", "\nCSeq: 1 OPTIONS\n", "\nAccept: application/sdp\n", "\nContent-Length: 0\n\n"} {
			if !strings.Contains(got[0], want) {
				t.Errorf("got\n%s\nwhich lacks %q", got[0], want)
			}
		}
		for _, line := range []string{"Call-ID: ", "From: ", "Via: "} {
			if a, b := lineOf(got[0], line), lineOf(got[1], line); a == b {
				t.Errorf("two probes have the same %s", a)
			}
		}
		if s := gw(); s.Condition != gateway.Up || s.Latency <= 0 || s.Latency > time.Second {
			t.Errorf("any answer is one: got %+v", s)
		}
		r.probes(h, 2*time.Minute, "")
		if s := gw(); s.Condition != gateway.Down || s.Reason != "OPTIONS: no answer" {
			t.Errorf("silence: got %+v, want down", s)
		}
		r.probes(h, time.Minute, "404 Not Found")
		if s := gw(); s.Condition != gateway.Up {
			t.Errorf("it answers again: got %+v, want up", s)
		}
		h.Refuses = true
		gw()
		r.wait(2 * time.Minute)
		if s := gw(); s.Condition != gateway.Down || !strings.Contains(s.Reason, "refused") {
			t.Errorf("refused: got %+v, want down", s)
		}
	})
}

func lineOf(text, begin string) string {
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, begin) {
			return line
		}
	}
	return ""
}

// A gateway by name lives if one of its machines does; over TLS its certificate is looked at.
func TestProbeByName(t *testing.T) {
	const two = "dns _sip._udp.gw.example SRV 10 0 5060 a.gw.example\ndns _sip._udp.gw.example SRV 20 0 5060 b.gw.example\n" +
		"dns a.gw.example A 10.0.0.50\ndns b.gw.example A 10.0.0.51\n"
	onGateways(t, two+"peer a 10.0.0.50 dead\npeer b 10.0.0.51", "sip:gw.example", func(r *rig, gw func() gateway.Status) {
		b := r.host("10.0.0.51")
		if got := r.probes(b, 3*time.Minute, "200 OK"); len(got) < 5 {
			t.Errorf("the second machine got %d OPTIONS in three minutes", len(got))
		}
		if s := gw(); s.Condition != gateway.Up || s.Answered.IsZero() {
			t.Errorf("one of two machines is dead: got %+v, want up", s)
		}
		b.Refuses = true
		gw()
		r.wait(2 * time.Minute)
		if s := gw(); s.Condition != gateway.Down {
			t.Errorf("both are: got %+v, want down", s)
		}
	})
	onGateways(t, "peer a 10.0.0.50", "sip:nowhere.example;transport=tcp", func(r *rig, gw func() gateway.Status) {
		r.wait(2 * time.Minute)
		if s := gw(); s.Condition != gateway.Down || !strings.Contains(s.Reason, "no such host") {
			t.Errorf("no such name: got %+v, want down", s)
		}
	})
	onGateways(t, "dns gw.example A 10.0.0.50\npeer a 10.0.0.50", "sip:gw.example:5070;transport=tcp", func(r *rig, gw func() gateway.Status) {
		got := r.probes(r.net.Host(netip.MustParseAddrPort("10.0.0.50:5070")), time.Minute, "200 OK")
		if s := gw(); len(got) == 0 || !strings.Contains(got[0], "\nVia: SIP/2.0/TCP ") || s.Condition != gateway.Up || s.Answered.IsZero() {
			t.Errorf("TCP: got %d OPTIONS and %+v, want up", len(got), s)
		}
	})
}

// Over TLS a probe asks for the certificate that a call asks for (RFC 5922 7.3).
func TestProbeByTLS(t *testing.T) {
	onGateways(t, "listens udp tls ipv4\ndns gw.example A 10.0.0.50\npeer a 10.0.0.50", "sips:gw.example", func(r *rig, gw func() gateway.Status) {
		got := r.probes(r.net.Host(netip.MustParseAddrPort("10.0.0.50:5061")), 2*time.Minute, "200 OK")
		if s := gw(); len(got) > 0 || s.Condition != gateway.Down || !strings.Contains(s.Reason, "certificate") {
			t.Errorf("it has none: got %d OPTIONS and %+v, want none and down", len(got), s)
		}
	})
}

// A row whose URI leads to ourselves, or nowhere, is down and says why.
func TestProbeOfNobody(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:10.0.0.100":              "OPTIONS: 10.0.0.100:5060 is this server itself",
		"tel:+1212":                   "OPTIONS: the URI leads nowhere",
		"sip:10.0.0.50;transport=tls": "OPTIONS: resolve: no such host: sip:10.0.0.50;transport=tls",
	} {
		onGateways(t, "peer a 10.0.0.50", uri, func(r *rig, gw func() gateway.Status) {
			r.wait(time.Minute)
			if s := gw(); s.Condition != gateway.Down || s.Reason != want {
				t.Errorf("%s: got %+v, want down: %s", uri, s, want)
			}
			r.unused()
		})
	}
}

// A probe is a transaction that ends.
func TestProbesEnd(t *testing.T) {
	onGateways(t, "peer a 10.0.0.50", "sip:10.0.0.50", func(r *rig, gw func() gateway.Status) {
		r.wait(10 * time.Minute)
		if _, clients := r.system.Transactions(); clients == 0 || clients > 3 {
			t.Errorf("got %d client transactions for a gateway that is dead, want one or two", clients)
		}
	})
}

// The gateways are those of the tables, at the start and when they change.
func TestFollow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		parsed, err := flow.Parse(t.Name(), "# RFC 3261 11: gateways\npeer gw 10.0.0.50\nquiet 1s\n")
		if err != nil {
			t.Fatal(err)
		}
		ctx := context.WithoutCancel(t.Context())
		mem := storetest.New()
		set := func(list ...store.Gateway) *cache.Snapshot {
			err := mem.ChangePlan(ctx, func(tx store.PlanTx) error {
				rows, err := tx.Plan()
				if err != nil {
					return err
				}
				rows.Gateways = list
				return tx.SetPlan(rows)
			})
			if err != nil {
				t.Fatal(err)
			}
			c, err := cache.New(cache.Config{Store: mem})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Refresh(ctx); err != nil {
				t.Fatal(err)
			}
			return c.Snapshot()
		}
		set(store.Gateway{Name: "a", URI: "sip:10.0.0.50", MaxCalls: 7, ProbeSeconds: 60, Weight: 2, Enabled: true},
			store.Gateway{Name: "b", URI: "sip:10.0.0.51", Enabled: true, Drained: true, ProbeSeconds: -1},
			store.Gateway{Name: "c", URI: "sip:10.0.0.52"})
		n := siptest.NewNet(siptest.ServerAddr, siptest.ServerAddr6)
		fill(t, mem, parsed)
		p := boot(t, n, parsed, mem, &rows{t: t, got: make(chan store.LogRow, maxRows)})
		defer p.stop(t)
		list := p.server.Gateways().List(time.Now())
		if len(list) != 2 || list[0].Name != "a" || list[0].URI != "sip:10.0.0.50" || list[0].MaxCalls != 7 || list[0].Probe != time.Minute ||
			list[0].Condition != gateway.Up || list[1].Name != "b" || list[1].Condition != gateway.Drained || list[1].Probe != 0 {
			t.Errorf("got %+v", list)
		}
		p.server.Follow(set(store.Gateway{ID: list[1].ID, Name: "b", URI: "sip:10.0.0.51", Enabled: true}))
		list = p.server.Gateways().List(time.Now())
		if len(list) != 1 || list[0].Name != "b" || list[0].Condition != gateway.Up || list[0].Probe != gateway.DefaultProbe {
			t.Errorf("after a change: got %+v", list)
		}
	})
}

// A gateway that calls have found dead gets calls again when it has answered OPTIONS.
func TestProbeBringsCallsBack(t *testing.T) {
	const head = "peer pbx 10.0.0.2\npeer gw1 10.0.0.51\npeer gw2 10.0.0.52\ntrunk in sip:10.0.0.2 10.0.0.2 class=staff\n" +
		"trunk gw1 sip:10.0.0.51 probe=30\ntrunk gw2 sip:10.0.0.52\ngateway (+1212)??????? staff sip:8$@gw1\nor (+1212)??????? staff sip:8$@gw2"
	onRig(t, head, func(r *rig) {
		pbx, gw1, gw2 := r.host("10.0.0.2"), r.host("10.0.0.51"), r.host("10.0.0.52")
		// call makes one, which gw2 refuses if it comes there, and tells whether gw1 was asked for it.
		call := func(id string) (first bool) {
			r.Helper()
			r.send(pbx, request("INVITE", "tel:+12125551234", id, ""))
			for range 60 {
				r.wait(100 * time.Millisecond)
				for _, a := range gw1.Take() {
					first = first || strings.Contains(string(a.Data), "Call-ID: "+id)
				}
				for _, a := range gw2.Take() {
					if strings.HasPrefix(string(a.Data), "INVITE") {
						r.send(gw2, response(strings.ReplaceAll(string(a.Data), "\r\n", "\n"), "486 Busy Here", 2))
					}
				}
			}
			pbx.Take()
			return first
		}
		r.probes(gw1, 2*time.Minute, "404 Not Found")
		if !call("found-out") {
			t.Error("a gateway that answers OPTIONS got no call")
		}
		if call("known") {
			t.Error("a gateway that is known to be down got a call first")
		}
		if got := r.probes(gw1, 2*time.Minute, "404 Not Found"); len(got) == 0 {
			t.Error("a gateway that is down got no OPTIONS")
		}
		if !call("back") {
			t.Error("a gateway that answers OPTIONS again got no call")
		}
		r.probes(gw1, time.Minute, "404 Not Found")
	})
}
