package test

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/internal/soak"
)

// What a gateway may take before it answers.
const (
	// atOnce is a call whose gateway is known to live, on a loaded machine; the time that a silent one costs is 4 s.
	atOnce = 3 * time.Second
	// oneTransaction is Timer B (RFC 3261 17.1.1.2).
	oneTransaction = 64 * timerT1
)

// gatewayPort is where scripted gateways listen; 5060 of the namespace is the server's.
const gatewayPort = 5080

// TestNumbers dials numbers with real phones: extensions, gateways, ring groups, forwards, emergency numbers, ENUM.
// The tables are filled by sipd's commands.
func TestNumbers(t *testing.T) {
	t.Parallel()
	need(t, "baresip", "linphonec")
	parallel(t, []part{
		{"outside", outsideCalls},
		{"groups and forwards", groupsAndForwards},
		{"emergency", emergencyCalls},
		{"enum", enumCalls},
	})
}

// exchange is a server of the domain serverIP, whose users are its phones.
type exchange struct {
	ns     *namespace
	db     *database
	server *process
	users  accounts
	want   map[string]int // rows of the request log
}

// newExchange fills the tables of an exchange; it is not started.
func newExchange(t *testing.T, users ...string) *exchange {
	t.Helper()
	x := &exchange{ns: newNamespace(t), db: sqliteIn(t.TempDir()), want: map[string]int{}}
	x.users = fill(t, x.db, serverIP, users...)
	return x
}

// sipd runs commands, each a line.
func (x *exchange) sipd(t testing.TB, lines ...string) {
	t.Helper()
	for _, line := range lines {
		run(t, append(append([]string{built(t, "sipd")}, strings.Fields(line)...), "-D", x.db.url)...)
	}
}

// start starts the server.
func (x *exchange) start(t *testing.T, flags ...string) {
	t.Helper()
	x.server = startServer(t, x.ns, x.db, append([]string{"--listen", "udp:" + serverIP + ":5060"}, flags...)...)
}

// local is a URI of the exchange.
func local(user string) string { return "sip:" + user + "@" + serverIP }

// stop ends the server and compares the request log. classes is what the column gateway_class has, each with the count of its rows.
func (x *exchange) stop(t *testing.T, phones int, classes map[string]int) {
	t.Helper()
	if err := x.server.stop(15 * time.Second); err != nil {
		t.Errorf("sipd: %v", err)
	}
	checkLog(t, x.db, x.want, 2*phones)
	got := map[string]int{}
	x.db.query(t, "SELECT method, sip_status, gateway_class FROM requestlog WHERE gateway_class IS NOT NULL", func(c []string) {
		got[strings.Join(c, " ")]++
	})
	if !maps.Equal(got, classes) {
		t.Errorf("gateway_class in the request log: %v, want %v", sorted(got), sorted(classes))
	}
}

// trunk opens a scripted gateway on the address of phone n.
func (x *exchange) trunk(t *testing.T, n int, silent bool) *line {
	t.Helper()
	addr := netip.AddrPortFrom(netip.MustParseAddr(phoneIP(n)), gatewayPort)
	l := newLine(x.ns.listenUDP(t, addr), netip.AddrPortFrom(netip.MustParseAddr(serverIP), 5060))
	l.keep, l.silent, l.sdp = true, silent, fmt.Sprintf("v=0\r\no=- 1 1 IN IP4 %[1]s\r\ns=-\r\nc=IN IP4 %[1]s\r\nt=0 0\r\nm=audio 9000 RTP/AVP 0\r\na=rtpmap:0 PCMU/8000\r\n", phoneIP(n))
	l.start(t)
	return l
}

// invites returns the INVITEs that a gateway has got, one for each Call-ID.
func (l *line) invites() (list []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seen := map[string]bool{}
	for _, text := range l.heard {
		if id := soak.Field(text, "Call-ID"); strings.HasPrefix(text, "INVITE ") && !seen[id] {
			seen[id] = true
			list = append(list, text)
		}
	}
	return list
}

// wantInvites fails unless a gateway has got so many calls, each for uri.
func (l *line) wantInvites(t testing.TB, n int, uri string) {
	t.Helper()
	list := l.invites()
	if len(list) != n {
		t.Errorf("gateway %v has got %d calls, want %d", l.conn.LocalAddr(), len(list), n)
	}
	for _, text := range list {
		if !strings.HasPrefix(text, "INVITE "+uri+" ") {
			t.Errorf("gateway %v has got this call, want one for %s:\n%s", l.conn.LocalAddr(), uri, text)
		}
	}
}

// ended waits until a gateway has got so many BYEs.
func (l *line) ended(t testing.TB, n int) {
	t.Helper()
	eventually(t, phoneStep, "the gateway gets BYE", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return len(slices.DeleteFunc(slices.Clone(l.heard), func(text string) bool { return !strings.HasPrefix(text, "BYE ") })) >= n
	})
}

// outsideCalls is extensions, and calls through two gateways of which the first is dead.
func outsideCalls(t *testing.T) {
	x := newExchange(t, "alice", "bob")
	x.sipd(t,
		"class add staff", "class add student",
		"user set alice@"+serverIP+" -c staff", "user set bob@"+serverIP+" -c student",
		"dialplan add 7[01]?? tel:+1212939$", "dialplan add (9)??????? tel:+1212$",
		"alias add +12129397042@"+serverIP+" alice@"+serverIP,
		fmt.Sprintf("gateway add gw1 sip:%s:%d --probe -1", phoneIP(5), gatewayPort), // Calls are to find out that it is dead.
		fmt.Sprintf("gateway add gw2 sip:%s:%d --net %[1]s --class staff", phoneIP(6), gatewayPort),
		"gatewaymap add (+1212)??????? staff sip:9$@gw1 --position 10 --weight 65535", // The lot hardly ever falls on the other.
		"gatewaymap add (+1212)??????? staff sip:9$@gw2 --position 10",
	)
	dead, alive := x.trunk(t, 5, true), x.trunk(t, 6, false)
	x.start(t)
	alice := startBaresip(t, x.ns, 1, x.users["alice"], toneAlice, overUDP)
	bob := startLinphone(t, x.ns, 2, x.users["bob"], toneBob, overUDP)
	alice.registered(t)
	bob.registered(t)
	step := stepOf(t)
	step("extension", func(t *testing.T) {
		talk(t, bob, alice, local("7042"), toneBob, toneAlice)
		bob.hangUp(t)
		alice.idle(t)
		bob.idle(t)
		x.want["INVITE 200"]++
		x.want["BYE 200"]++
	})
	outside := func(t *testing.T, calls int, limit time.Duration) {
		t.Helper()
		begin := time.Now()
		alice.call(t, local("95551234"))
		alice.talking(t)
		if took := time.Since(begin); took > limit {
			t.Errorf("the gateway that lives took the call after %v, want %v at most", took, limit)
		}
		alive.wantInvites(t, calls, fmt.Sprintf("sip:95551234@%s:%d", phoneIP(6), gatewayPort))
		dead.wantInvites(t, 1, fmt.Sprintf("sip:95551234@%s:%d", phoneIP(5), gatewayPort))
		alice.hangUp(t)
		alice.idle(t)
		alive.ended(t, calls)
		x.want["INVITE 200"]++
		x.want["BYE 200"]++
	}
	step("outside, by the gateway that is not dead", func(t *testing.T) { outside(t, 1, oneTransaction) })
	step("outside, once it is known which one is dead", func(t *testing.T) { outside(t, 2, atOnce) })
	step("outside, by a student", func(t *testing.T) {
		bob.call(t, local("95551234"))
		bob.wait(t, phoneStep, `SIP/2\.0 403`)
		bob.wait(t, phoneStep, `(?m)^Warning: 399 \S+ "gateway class student may not call this number"`)
		bob.idle(t)
		alive.wantInvites(t, 2, fmt.Sprintf("sip:95551234@%s:%d", phoneIP(6), gatewayPort))
		x.want["INVITE 403"]++
	})
	step("from outside, without a password", func(t *testing.T) {
		caller := user{name: "+13475551234", domain: phoneIP(6)}
		invite := dialled{method: "INVITE", uri: local("7042"), to: "<" + local("7042") + ">", callID: "from-outside", cseq: 1, body: alive.sdp,
			more: fmt.Sprintf("Contact: <sip:gateway@%v>\r\nContent-Type: application/sdp\r\n", alive.conn.LocalAddr())}
		text, response := alive.text(caller, invite), make(chan string, 1)
		go func() { response <- alive.ask(text, oneTransaction) }()
		alice.ringing(t)
		alice.answer(t)
		answer := <-response
		if got := soak.Status(answer); got != 200 {
			t.Fatalf("the gateway's own call got %d, want 200", got)
		}
		invite.body, invite.more = "", ""
		in := alive.dialog(caller, invite, text, answer)
		alice.talking(t) // She has got the ACK.
		in.method, in.cseq = "BYE", 2
		if got := soak.Status(alive.ask(alive.text(caller, in), oneTransaction)); got != 200 {
			t.Errorf("BYE of the gateway got %d, want 200", got)
		}
		alice.idle(t)
		x.want["INVITE 200"]++
		x.want["BYE 200"]++
	})
	alice.quit(t)
	bob.quit(t)
	x.stop(t, 2, map[string]int{"INVITE 200 staff": 2, "INVITE 403 student": 1})
}

// groupsAndForwards is three phones that ring together or one after the other, and calls that are forwarded.
func groupsAndForwards(t *testing.T) {
	x := newExchange(t, "alice", "bob", "carol", "dave")
	at := func(name string) string { return name + "@" + serverIP }
	x.sipd(t,
		"group add 500 "+at("alice")+" "+at("bob")+" "+at("carol"),
		"group add 501 "+at("alice")+" --serial --delay 2 --priority 1",
		"group add 501 "+at("bob")+" --serial --delay 2 --priority 2",
		"group add 501 "+at("carol")+" --serial --priority 3",
		"forward set "+at("bob")+" busy "+at("carol"),
		"forward set "+at("alice")+" noanswer "+at("carol")+" --after 3",
	)
	x.start(t)
	alice := startBaresip(t, x.ns, 1, x.users["alice"], toneAlice, overUDP)
	bob := startBaresip(t, x.ns, 2, x.users["bob"], toneBob, overUDP)
	carol := startBaresip(t, x.ns, 3, x.users["carol"], toneBob, overUDP)
	dave := startLinphone(t, x.ns, 4, x.users["dave"], toneAlice, overUDP)
	for _, p := range []phone{alice, bob, carol, dave} {
		p.registered(t)
	}
	// answered lets winner take the call that rings, and the others must be told why they have lost it.
	answered := func(t *testing.T, winner phone, losers ...*baresip) {
		t.Helper()
		winner.answer(t)
		dave.talking(t)
		winner.talking(t)
		for _, p := range losers {
			p.idle(t)
			trace := p.trace(t)
			cancel := message(trace[max(0, strings.LastIndex(trace, "CANCEL sip:")):], "CANCEL ")
			if !strings.Contains(cancel, `Reason: SIP;cause=200;text="Call completed elsewhere"`) {
				t.Errorf("a phone that lost got this CANCEL, want a Reason with cause=200:\n%s", cancel)
			}
		}
		dave.hangUp(t)
		winner.idle(t)
		dave.idle(t)
		x.want["INVITE 200"]++
		x.want["BYE 200"]++
	}
	step := stepOf(t)
	step("all at once", func(t *testing.T) {
		dave.call(t, local("500"))
		for _, p := range []phone{alice, bob, carol} {
			p.ringing(t)
		}
		answered(t, bob, alice, carol)
	})
	step("one after the other", func(t *testing.T) {
		dave.call(t, local("501"))
		begin := time.Time{}
		for i, p := range []phone{alice, bob, carol} {
			p.ringing(t)
			if i > 0 && time.Since(begin) < time.Second {
				t.Errorf("member %d rings %v after the one before, want 2s", i+1, time.Since(begin))
			}
			begin = time.Now()
		}
		answered(t, carol, alice, bob)
	})
	// diverted fails unless the newest call of a phone tells by whom it was forwarded.
	diverted := func(t *testing.T, p phone, by, reason string, cause int) {
		t.Helper()
		trace := p.trace(t)
		invite := message(trace[max(0, strings.LastIndex(trace, "INVITE sip:")):], "INVITE ")
		for _, want := range []string{
			fmt.Sprintf("\nDiversion: <sip:%s>;reason=%s", by, reason),
			"\nHistory-Info: <sip:" + by,
			fmt.Sprintf("Reason=SIP%%3Bcause%%3D%d", cause),
		} {
			if !strings.Contains(invite, want) {
				t.Errorf("the forwarded call has no %q:\n%s", want, invite)
			}
		}
	}
	step("busy", func(t *testing.T) {
		dave.call(t, x.users["bob"].uri())
		bob.ringing(t)
		bob.hangUp(t) // baresip refuses with 486.
		bob.idle(t)
		carol.ringing(t)
		diverted(t, carol, at("bob"), "user-busy", 486)
		answered(t, carol)
	})
	step("no answer", func(t *testing.T) {
		dave.call(t, x.users["alice"].uri())
		alice.ringing(t)
		begin := time.Now()
		carol.ringing(t)
		if took := time.Since(begin); took < time.Second {
			t.Errorf("forwarded after %v, want 3s", took)
		}
		alice.idle(t)
		diverted(t, carol, at("alice"), "no-answer", 408)
		answered(t, carol)
	})
	for _, p := range []phone{alice, bob, carol, dave} {
		p.quit(t)
	}
	x.stop(t, 4, map[string]int{})
}

// emergencyCalls is a phone whose password is wrong: it gets help, and nothing else.
func emergencyCalls(t *testing.T) {
	x := newExchange(t, "alice")
	help := fmt.Sprintf("sip:911@%s:%d", phoneIP(6), gatewayPort)
	x.sipd(t, "dialplan add 911 "+help+" --emergency", "dialplan add (9)??????? tel:+1212$",
		"class add staff", "gatewaymap add (+1212)??????? staff "+fmt.Sprintf("sip:$@%s:%d", phoneIP(6), gatewayPort))
	center, street := x.trunk(t, 6, false), x.trunk(t, 5, false)
	x.start(t, "--set", "LocalNets="+phoneIP(1)+"/32")
	wrong := x.users["alice"]
	wrong.password = "not the word of alice"
	alice := startBaresip(t, x.ns, 1, wrong, toneAlice, overUDP)
	step := stepOf(t)
	step("help", func(t *testing.T) {
		before := len(alice.trace(t))
		alice.call(t, local("911"))
		alice.talking(t)
		center.wantInvites(t, 1, help)
		if strings.Contains(alice.trace(t)[before:], "SIP/2.0 407") {
			t.Error("the caller was asked who he is, want no 407")
		}
		alice.hangUp(t)
		alice.idle(t)
		center.ended(t, 1)
		x.want["INVITE 200"]++
		x.want["BYE 200"]++
	})
	step("another number", func(t *testing.T) {
		before := len(alice.trace(t))
		alice.call(t, local("95551234"))
		alice.idle(t)
		if !strings.Contains(alice.trace(t)[before:], "SIP/2.0 407") {
			t.Error("the caller was not asked who he is, want 407")
		}
	})
	step("help for the street", func(t *testing.T) {
		passer := user{name: "passer-by", domain: phoneIP(5)}
		text := street.text(passer, dialled{method: "INVITE", uri: local("911"), to: "<" + local("911") + ">", callID: "street", cseq: 1,
			more: fmt.Sprintf("Contact: <sip:passer-by@%v>\r\n", street.conn.LocalAddr())})
		response := street.ask(text, oneTransaction)
		street.ackFailure(text, response)
		if got := soak.Status(response); got != 407 {
			t.Errorf("a caller who is neither on the campus nor registered got %d, want 407", got)
		}
	})
	center.wantInvites(t, 1, help)
	alice.quit(t)
	x.stop(t, 0, map[string]int{})
}

// enumZone has a number of somebody here, one of somebody elsewhere, and none of others.
const enumZone = "numbers.example"

// enumCalls is numbers that DNS knows (RFC 6116), ahead of the gateway map.
func enumCalls(t *testing.T) {
	need(t, "nsd")
	x := newExchange(t, "alice", "bob")
	gw, far := x.trunk(t, 6, false), x.trunk(t, 5, false)
	startNSD(t, x.ns, map[string]string{enumZone: fmt.Sprintf(`
$ORIGIN 0.0.0.6.4.9.7.0.2.4.4.%[1]s.
0 NAPTR 100 10 "u" "E2U+email:mailto" "!^.*$!mailto:alice@%[2]s!" .
0 NAPTR 200 10 "u" "E2U+sip" "!^.*$!sip:alice@%[2]s!" .
1 NAPTR 100 10 "u" "E2U+sip" "!^\\+44(.*)$!sip:\\1@%[3]s!" .
`, enumZone, serverIP, far.conn.LocalAddr())})
	x.sipd(t,
		"class add staff", "user set bob@"+serverIP+" -c staff",
		"dialplan add (9011)* tel:+$",
		fmt.Sprintf("gateway add gw sip:%v", gw.conn.LocalAddr()),
		"gatewaymap add (+)* staff sip:9011$@gw",
	)
	x.start(t, "--set", "EnumRoot="+enumZone, "--set", "Resolver=127.0.0.1")
	alice := startBaresip(t, x.ns, 1, x.users["alice"], toneAlice, overUDP)
	bob := startLinphone(t, x.ns, 2, x.users["bob"], toneBob, overUDP)
	alice.registered(t)
	bob.registered(t)
	step := stepOf(t)
	done := func(t *testing.T) {
		t.Helper()
		bob.hangUp(t)
		bob.idle(t)
		x.want["INVITE 200"]++
		x.want["BYE 200"]++
	}
	step("of somebody here", func(t *testing.T) {
		connect(t, bob, alice, local("9011442079460000"))
		done(t)
		alice.idle(t)
	})
	step("of somebody elsewhere", func(t *testing.T) {
		bob.call(t, local("9011442079460001"))
		bob.talking(t)
		far.wantInvites(t, 1, fmt.Sprintf("sip:2079460001@%v", far.conn.LocalAddr()))
		done(t)
		far.ended(t, 1)
	})
	step("of nobody", func(t *testing.T) {
		bob.call(t, local("9011442079460002"))
		bob.talking(t)
		gw.wantInvites(t, 1, fmt.Sprintf("sip:9011442079460002@%v", gw.conn.LocalAddr()))
		done(t)
		gw.ended(t, 1)
	})
	alice.quit(t)
	bob.quit(t)
	x.stop(t, 2, map[string]int{"INVITE 200 staff": 1})
}
