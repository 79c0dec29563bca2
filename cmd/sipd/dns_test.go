package main

import (
	"encoding/json"
	"flag"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
)

// update writes the golden files anew.
var update = flag.Bool("update", false, "write the golden files anew")

// dnsZone is what the name server of the tests knows.
var dnsZone = []string{
	`example.com. 300 IN NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.example.com.`,
	`example.com. 300 IN NAPTR 10 10 "s" "SIPS+D2T" "" _sips._tcp.example.com.`,
	`example.com. 300 IN NAPTR 10 20 "s" "SIP+D2S" "" _sip._sctp.example.com.`,
	`example.com. 600 IN A 192.0.2.80`,
	`_sips._tcp.example.com. 60 IN SRV 1 10 5061 one.example.com.`,
	`_sips._tcp.example.com. 60 IN SRV 1 30 5061 two.example.com.`,
	`_sips._tcp.example.com. 60 IN SRV 2 0 5061 one.example.com.`,
	`_sip._udp.example.com. 60 IN SRV 1 0 5060 two.example.com.`,
	`one.example.com. 30 IN A 192.0.2.1`,
	`one.example.com. 30 IN AAAA 2001:db8::1`,
	`two.example.com. 30 IN A 192.0.2.2`,
	`_sip._udp.closed.example. 60 IN SRV 0 0 0 .`,
	`bare.example. 60 IN A 192.0.2.50`,
	`circle.example. 60 IN CNAME circle.example.`,
	`evil.example. 60 IN NAPTR 1 1 "s" "\027[31mSIP" "" evil.example.`,
}

// dnsServer serves dnsZone; of refused.example it says SERVFAIL.
func dnsServer(t *testing.T) (addr string) {
	t.Helper()
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var records []dns.RR
	for _, text := range dnsZone {
		rr, err := dns.NewRR(text)
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, rr)
	}
	var served, started sync.WaitGroup
	started.Add(1)
	s := &dns.Server{PacketConn: pc, NotifyStartedFunc: started.Done, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		asked := q.Question[0]
		if strings.HasSuffix(asked.Name, "refused.example.") {
			m.Rcode = dns.RcodeServerFailure
		}
		for _, rr := range records {
			if h := rr.Header(); h.Name == asked.Name && (h.Rrtype == asked.Qtype || h.Rrtype == dns.TypeCNAME) {
				m.Answer = append(m.Answer, rr)
			}
		}
		w.WriteMsg(m)
	})}
	served.Go(func() { s.ActivateAndServe() })
	started.Wait()
	t.Cleanup(func() { s.Shutdown(); served.Wait() })
	return pc.LocalAddr().String()
}

// TestExplainDNS compares what is printed with testdata/dns_explain.txt; -update writes it anew.
func TestExplainDNS(t *testing.T) {
	server := dnsServer(t)
	d := database(t)
	var got strings.Builder
	for _, tt := range []struct {
		args []string
		code int
	}{
		{[]string{"sip:bob@example.com"}, 0},
		{[]string{"sips:example.com"}, 0},
		{[]string{"bob@example.com:5080"}, 0},
		{[]string{"sip:example.com;transport=tcp"}, 0},
		{[]string{"sip:bob@elsewhere.example;maddr=bare.example"}, 0},
		{[]string{"sip:bob@[2001:db8::9]:5070;transport=tcp"}, 0},
		{[]string{"sips:bob@192.0.2.9"}, 0},
		{[]string{"sip:closed.example"}, 1},
		{[]string{"sip:circle.example:5060"}, 1},
		{[]string{"sip:refused.example"}, 1},
		{[]string{"sip:evil.example"}, 1},
		{[]string{d, "sip:bob@example.com"}, 0}, // A server without TLS.
		{[]string{"--json", "sip:example.com;transport=udp"}, 0},
		{[]string{"--json", "sip:nobody.example:5060"}, 1},
	} {
		r := call(t, "", append([]string{"dns", "explain", "--resolver", server}, tt.args...)...)
		if r.code != tt.code || r.err != "" {
			t.Errorf("%v: got exit status %d and %q, want %d", tt.args, r.code, r.err, tt.code)
		}
		line := strings.ReplaceAll("$ sipd dns explain "+strings.Join(tt.args, " "), d, "-D DATABASE")
		got.WriteString(line + "\n" + strings.ReplaceAll(r.out, server, "192.0.2.53:53") + "\n")
	}
	golden := filepath.Join("testdata", "dns_explain.txt")
	if *update {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant\n%s", &got, want)
	}
}

// TestExplainDNSTakesTheSettings: the name servers of a database, unless the command line names others.
func TestExplainDNSTakesTheSettings(t *testing.T) {
	server := dnsServer(t)
	conf := filepath.Join(t.TempDir(), "sipd.conf")
	writeFile(t, conf, "UserConfig "+strings.TrimPrefix(database(t), "-D")+"\nResolver "+server+"\nListen udp:127.0.0.1:5060\n")
	var v lookUpView
	if err := json.Unmarshal([]byte(must(t, "dns", "explain", "-f", conf, "--json", "sip:example.com")), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Servers) != 1 || v.Servers[0].String() != server || len(v.Hops) != 1 || v.Hops[0].Address != "192.0.2.2:5060" {
		t.Errorf("got %+v, want the server of sipd.conf, and what one can reach over UDP and IPv4", v)
	}
	expect(t, []expectation{
		{"no URI", []string{"dns", "explain"}, 2, "sipd dns explain URI"},
		{"another scheme", []string{"dns", "explain", "tel:+15551234"}, 2, "write sip:user@example.com"},
		{"no host", []string{"dns", "explain", "sip:bob@"}, 2, "write sip:user@example.com"},
		{"an unknown transport", []string{"dns", "explain", "sip:bob@example.com;transport=sctp", "--resolver", server}, 2, "udp, tcp or tls"},
		{"a name server by name", []string{"dns", "explain", "sip:bob@example.com", "--resolver", "dns.example"}, 2, "--resolver: Resolver"},
		{"a database that is not there", []string{"dns", "explain", "sip:bob@example.com", "-D", "oracle://x"}, 2, "no such kind of database"},
		{"dns alone", []string{"dns"}, 2, "sub-commands"},
	})
}
