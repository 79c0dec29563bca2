package server_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"sipd/internal/siptest"
	"sipd/internal/siptest/flow"
)

// randomCalls is how many courses of a call TestRandomCalls tries; each is a few virtual minutes.
const randomCalls = 300

// TestRandomCalls leaves the course of forked calls to chance - when phones ring, answer, refuse or stay silent, when the caller
// gives up, which datagrams are lost, late or doubled - and checks what must hold in all of them:
//
//   - The caller sees 2xx responses or one other final response, never both (RFC 3261 16.7 step 5).
//   - Who has answered gets his ACK: no 2xx is swallowed (16.7 step 5, RFC 6026).
//   - No phone is left ringing (16.7 step 10).
//   - In the end no transaction is left, and nobody has got what he cannot make sense of.
func TestRandomCalls(t *testing.T) {
	for i := range randomCalls {
		seed := uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomCall(t, rand.New(rand.NewPCG(seed, 3261)), false) })
		})
	}
}

// TestRandomFailover is TestRandomCalls with a contact that is a name: two or three hops lie behind it, some of which are dead,
// refuse, say 503 or ring late, and the name server may be slow or silent. Besides, where nothing else decides, the first hop that
// lives does (RFC 3263 4.3).
func TestRandomFailover(t *testing.T) {
	for i := range randomCalls {
		seed := uint64(i)
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { randomCall(t, rand.New(rand.NewPCG(seed, 3263)), true) })
		})
	}
}

// randomCall is one call to bob, who has some telephones and, byName, a contact whose next hops must be looked up.
func randomCall(t *testing.T, r *rand.Rand, byName bool) {
	lost := []float64{0, 0, 0.1, 0.25}[r.IntN(4)]
	if byName {
		lost = min(lost, 0.1) // With more it happens that each of a dozen ACKs is lost.
	}
	doubled := []float64{0, 0.1}[r.IntN(2)]
	n := siptest.NewNet(siptest.ServerAddr, siptest.ServerAddr6)
	seeds := [2]uint64{r.Uint64(), r.Uint64()}
	toServer, fromServer := rand.New(rand.NewPCG(seeds[0], 1)), rand.New(rand.NewPCG(seeds[1], 2))
	shaping := make(chan struct{}, 1) // Many goroutines send.
	n.Shape = func(in bool, _ []byte) []time.Duration {
		shaping <- struct{}{}
		defer func() { <-shaping }()
		dice := fromServer
		if in {
			dice = toServer
		}
		if dice.Float64() < lost {
			return nil
		}
		delay := func() time.Duration { return time.Millisecond + time.Duration(dice.IntN(80))*time.Millisecond }
		if dice.Float64() < doubled {
			return []time.Duration{delay(), delay()}
		}
		return []time.Duration{delay()}
	}

	f := &flow.Flow{File: "random", Users: []flow.User{{AOR: "bob@example.org", Policy: "never"}},
		Settings: []flow.Setting{{Name: "TimeOut", Value: fmt.Sprint(1 + r.IntN(20))}}}
	if r.IntN(2) == 0 {
		f.Settings = append(f.Settings, flow.Setting{Name: "ForkOnTimeout", Value: "cancel"})
	}
	var phones []*siptest.Phone
	others := 1 + r.IntN(4)
	want := 0 // what the hops behind the name decide, 0: not known
	if byName {
		others = r.IntN(3)
		phones, want = randomHops(t, r, n, f)
	}
	for i := range others {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(11 + i)}), 5060)
		p := siptest.NewPhone(n.Host(addr), fmt.Sprintf("bob%d", i+1))
		p.Ring = time.Duration(r.IntN(600)) * time.Millisecond
		p.Answer = p.Ring + time.Duration(r.IntN(12_000))*time.Millisecond
		p.Status = []int{200, 200, 486, 404, 503, 603, 0, 0}[r.IntN(8)]
		phones = append(phones, p)
		f.Peers = append(f.Peers, &flow.Peer{Name: p.User, Addr: addr, AOR: "bob@example.org", Bound: &flow.Binding{
			AOR: "bob@example.org", URI: "sip:" + p.User + "@" + addr.String(), Milli: []int{1000, 960, 500, 100}[r.IntN(4)], Expires: time.Hour}})
	}
	if others > 0 || lost > 0 {
		want = 0
	}
	caller := siptest.NewPhone(n.Host(netip.MustParseAddrPort("10.0.0.1:5060")), "alice")
	system := startServer(t, n, f)
	synctest.Wait()

	var giveUp time.Duration
	switch r.IntN(4) {
	case 0:
		want = 0
		giveUp = time.Duration(r.IntN(12_000)) * time.Millisecond
	case 1: // About when somebody answers: the messages cross.
		want = 0
		giveUp = phones[r.IntN(len(phones))].Answer + time.Duration(r.IntN(200))*time.Millisecond
	}
	caller.Call("random", "sip:bob@example.org", giveUp, time.Second)
	// Timer C of the last group is the longest that anything takes, and 64*T1 for the CANCEL after it.
	time.Sleep(6 * time.Minute)
	synctest.Wait()

	out := caller.Outgoing("random")
	success, failure := 0, 0
	for _, status := range out.Finals {
		if status < 300 {
			success++
		} else {
			failure++
		}
	}
	if success > 0 && failure > 0 || failure > 1 || success+failure == 0 {
		t.Errorf("the caller got final responses %v, want 2xx or one other", out.Finals)
	}
	if want != 0 && (len(out.Finals) != 1 || out.Finals[0] != want) {
		t.Errorf("the caller got %v, want %d of the first hop that lives", out.Finals, want)
	}
	for _, p := range phones {
		for _, in := range p.Incoming() {
			if in.Final == 0 {
				t.Errorf("%v still rings", p)
			}
			if in.Final/100 == 2 && !in.Acked {
				t.Errorf("%v has answered %d and got no ACK; the caller got %v", p, in.Final, out.Finals)
			}
		}
	}
	for _, p := range append(phones, caller) {
		if faults := p.Faults(); len(faults) > 0 {
			t.Errorf("%v got what it cannot make sense of: %v", p, faults)
		}
	}
	if stray := n.Nobody().Take(); len(stray) > 0 {
		t.Errorf("%d messages went to nobody, the first:\n%s", len(stray), stray[0].Data)
	}
	if servers, clients := system.Transactions(); servers != 0 || clients != 0 {
		t.Errorf("%d server and %d client transactions are left, want none", servers, clients)
	}
	system.Stop()
	if t.Failed() {
		for _, e := range n.Log() {
			t.Logf("%8.3f %v -> %v %.60q", e.At.Sub(n.Log()[0].At).Seconds(), e.From, e.To, e.Data)
		}
	}
}

// randomHops gives bob a contact by name with two or three hops in an order, and tells how the call ends when there is nothing
// else: with what the first hop says that can be reached and does not say 503.
func randomHops(t *testing.T, r *rand.Rand, n *siptest.Net, f *flow.Flow) (phones []*siptest.Phone, want int) {
	t.Helper()
	dns := func(d flow.DNS) {
		if d.TTL = 300; d.Does != "" {
			d.TTL = 0
		}
		if err := n.Names.Change(&d); err != nil {
			t.Fatal(err)
		}
	}
	want, decided := 500, false
	for i := range 2 + r.IntN(2) {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(51 + i)}), 5060)
		p := siptest.NewPhone(n.Host(addr), fmt.Sprintf("hop%d", i+1))
		phones = append(phones, p)
		p.Ring = time.Duration(r.IntN(600)) * time.Millisecond
		p.Answer = p.Ring + time.Duration(r.IntN(12_000))*time.Millisecond
		p.Status = []int{200, 200, 486, 404, 603, 500}[r.IntN(6)]
		switch r.IntN(7) {
		case 0, 1:
			if p.Host.Dead = true; !decided {
				want = 408 // Also when the next ones refuse: it keeps its 32 s (16.6 step 7).
			}
		case 2:
			p.Host.Refuses = true
		case 3, 4: // It rings first: whoever was silent before it has lost his chance.
			if p.Status = 503; !decided {
				want = 500
			}
		case 5: // After it was given up, or at that moment.
			p.Ring += 3500 * time.Millisecond
			p.Answer += 3500 * time.Millisecond
			if !decided {
				want, decided = 0, true
			}
		default:
			if !decided {
				want, decided = p.Status, true
			}
		}
		name := fmt.Sprintf("hop%d.gate.example", i+1)
		dns(flow.DNS{Name: "_sip._udp.gate.example", Type: "SRV", Data: fmt.Sprintf("%d 0 5060 %s", 10*i, name)})
		dns(flow.DNS{Name: name, Type: "A", Data: addr.Addr().String()})
	}
	switch r.IntN(6) {
	case 0:
		dns(flow.DNS{Does: "slow", Delay: time.Duration(r.IntN(3000)) * time.Millisecond})
		want = 0
	case 1:
		dns(flow.DNS{Name: fmt.Sprintf("hop%d.gate.example", 1+r.IntN(2)), Does: "silent"})
		want = 0
	}
	f.Peers = append(f.Peers, &flow.Peer{Name: "gate", Addr: phones[0].Host.Addr, AOR: "bob@example.org", Bound: &flow.Binding{
		AOR: "bob@example.org", URI: "sip:bob@gate.example", Milli: []int{1000, 500}[r.IntN(2)], Static: true}})
	return phones, want
}
