package main

import (
	"context"
	"encoding/json"
	"flag"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

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
	`local.example. 60 IN A 127.0.0.1`,
	`ours.example. 60 IN A 192.0.2.50`,
	`circle.example. 60 IN CNAME circle.example.`,
	`3.8.0.0.6.9.2.3.6.1.4.4.numbers.example. 60 IN NAPTR 100 50 "u" "E2U+sip" "!^(\\+44.*)$!sip:\\1@example.com!" .`,
	`3.8.0.0.6.9.2.3.6.1.4.4.numbers.example. 60 IN NAPTR 100 51 "u" "E2U+h323" "!^.*$!h323:x@example.com!" .`,
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
	must(t, "user", "add", "alice@example.com", "-f", conf)
	expect(t, []expectation{
		{"explain --hops", []string{"explain", "-f", conf, "--hops", "sip:bob@ours.example", "--from", "alice@example.com"}, 0, "1  udp        192.0.2.50:5060  ours.example"},
		{"in JSON", []string{"explain", "-f", conf, "--hops", "--json", "sip:bob@ours.example", "--from", "alice@example.com"}, 0, `"address": "192.0.2.50:5060"`},
		{"of a name that is not there", []string{"explain", "-f", conf, "--hops", "sip:bob@nobody.example", "--from", "alice@example.com"}, 0, "=> no next hop: resolve: no such host"},
		{"not without the flag", []string{"explain", "-f", conf, "sip:bob@ours.example", "--from", "alice@example.com"}, 0, "the domain of the Request-URI\n"},
		{"no URI", []string{"dns", "explain"}, 2, "sipd dns explain URI"},
		{"another scheme", []string{"dns", "explain", "tel:+15551234"}, 2, "write `sipd dns enum +15551234`, or sip:user@example.com"},
		{"no host", []string{"dns", "explain", "sip:bob@"}, 2, "write sip:user@example.com"},
		{"an unknown transport", []string{"dns", "explain", "sip:bob@example.com;transport=sctp", "--resolver", server}, 2, "udp, tcp or tls"},
		{"a name server by name", []string{"dns", "explain", "sip:bob@example.com", "--resolver", "dns.example"}, 2, "--resolver: Resolver"},
		{"a database that is not there", []string{"dns", "explain", "sip:bob@example.com", "-D", "oracle://x"}, 2, "no such kind of database"},
		{"dns alone", []string{"dns"}, 2, "sub-commands"},
	})
}

// TestStatusTellsOfPeers: a next hop that cannot be reached, the name servers and the certificate are on the page, in the log, and what
// matters of them in /readyz.
func TestStatusTellsOfPeers(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close() // Nobody listens there any more.
	_, port, err := net.SplitHostPort(closed.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	name := dnsServer(t)
	_, certFile, keyFile := selfSigned(t, t.TempDir(), "sip.example.com", time.Now().Add(10*24*time.Hour))
	socket := filepath.Join(t.TempDir(), "admin.sock")
	r := start(t, database(t), "--listen", "udp:127.0.0.1:0", "--listen", "tcp:127.0.0.1:0", "--listen", "tls:127.0.0.1:0", "--admin", "unix:"+socket,
		"--set", "AuthMethod=none", "--set", "Resolver="+name, "--set", "TLSCertificate="+certFile, "--set", "TLSKey="+keyFile)
	addr := strings.TrimPrefix(r.addrs[0], "udp:")
	send := func(uri string) string {
		t.Helper()
		c, err := net.Dial("udp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		_, err = io.WriteString(c, "MESSAGE "+uri+" SIP/2.0\r\nVia: SIP/2.0/UDP "+c.LocalAddr().String()+";branch=z9hG4bK1;rport\r\nFrom: <sip:alice@example.com>;tag=1\r\n"+
			"To: <"+uri+">\r\nCall-ID: "+uri+"\r\nCSeq: 1 MESSAGE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n")
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 4096)
		n, err := c.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		return string(buf[:n])
	}
	if got := send("sip:bob@local.example:" + port + ";transport=tcp"); !strings.HasPrefix(got, "SIP/2.0 500 ") {
		t.Errorf("got %q, want 500", got)
	}
	if got := send("sip:bob@nobody.example"); !strings.HasPrefix(got, "SIP/2.0 404 ") {
		t.Errorf("got %q, want 404", got)
	}
	page := func(path string, v any) {
		t.Helper()
		client := http.Client{Timeout: patience, Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", socket)
		}}}
		resp, err := client.Get("http://sipd" + path)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		if err := json.NewDecoder(resp.Body).Decode(v); err != nil {
			t.Fatal(err)
		}
	}
	var st struct {
		DownHops []struct{ Hop, Domain, Reason string } `json:"down_hops"`
		Resolver struct {
			Servers []struct {
				Addr     string
				Answered int
			}
			Cached int `json:"cache_entries"`
		}
		Certificate struct {
			Names []string
			Left  float64 `json:"days_left"`
		}
	}
	page("/status", &st)
	if len(st.DownHops) != 1 || st.DownHops[0].Hop != "tcp:127.0.0.1:"+port || st.DownHops[0].Domain != "local.example" || !strings.Contains(st.DownHops[0].Reason, "connection refused") {
		t.Errorf("got down_hops %+v, want the one at port %s, with the reason", st.DownHops, port)
	}
	if s := st.Resolver; len(s.Servers) != 1 || s.Servers[0].Addr != name || s.Servers[0].Answered < 2 || s.Cached < 2 {
		t.Errorf("got resolver %+v, want the answers of %s", s, name)
	}
	if c := st.Certificate; len(c.Names) != 1 || c.Names[0] != "sip.example.com" || c.Left < 9 || c.Left > 10 {
		t.Errorf("got certificate %+v, want that of sip.example.com with ten days", c)
	}
	var ready struct {
		Ready   bool
		Reasons []string
	}
	page("/readyz", &ready)
	if !ready.Ready || len(ready.Reasons) != 1 || !strings.HasPrefix(ready.Reasons[0], "the certificate of sip.example.com ends in 9.9") {
		t.Errorf("got %+v, want ready, and that the certificate ends soon", ready)
	}
	r.waitFor(t, `msg="next hop is down" hop=tcp:127.0.0.1:`+port+` domain=local.example reason="cannot be reached: `)
	r.signals <- syscall.SIGUSR2
	r.waitFor(t, `down_hops="[{\"hop\":\"tcp:127.0.0.1:`+port)
}
