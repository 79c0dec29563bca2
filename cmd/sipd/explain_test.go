package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// campus is a database with the sample gateway file of the classic, a dial plan, and users of three classes.
func campus(t *testing.T) string {
	t.Helper()
	d := database(t)
	for _, class := range []string{"student", "phd", "faculty", "staff", "guest"} {
		must(t, "class", "add", class, d)
	}
	must(t, "gatewaymap", "import", "testdata/gateways_sample.txt", d)
	for _, rule := range [][]string{{"7[01]??", "tel:+1212939$"}, {"(9)??????????", "tel:+1$"}, {"(9)???????", "tel:+1212$"}, {"(9011)*", "tel:+$"}} {
		must(t, "dialplan", "add", rule[0], rule[1], d)
	}
	must(t, "dialplan", "add", "{911,9911}", "sip:911@psap.example.org", "--emergency", d)
	for _, name := range []string{"alice", "bob", "carol", "dan"} {
		if r := call(t, "pw\n", "user", "add", name+"@example.com", "-p", "-", d); r.code != 0 {
			t.Fatal(r.err)
		}
	}
	must(t, "user", "set", "bob@example.com", "-c", "student", d)
	must(t, "user", "set", "carol@example.com", "-c", "phd", d)
	must(t, "alias", "add", "+12129397001", "dan@example.com", d)
	must(t, "alias", "add", "sales", "alice@example.com", d)
	must(t, "alias", "add", "sales", "bob@example.com", d)
	must(t, "gatewaymap", "add", "(+44)*", "phd", "sip:00$@gw1.example.net", d)
	must(t, "gatewaymap", "add", "(+44)*", "phd", "sip:00$@gw2.example.net", "--position", "60", d)
	must(t, "forward", "set", "dan@example.com", "all", "sip:carol@example.com", d)
	return d
}

// TestExplainNumbers compares what is printed for the worked examples with testdata/explain.txt; -update writes it anew.
func TestExplainNumbers(t *testing.T) {
	d := campus(t)
	var got strings.Builder
	for _, args := range [][]string{
		{"tel:+12129397139", "--class", "student"},
		{"tel:+1-212-939-7139", "--class", "NULL"},
		{"tel:+12129397042", "--class", "student"},
		{"tel:+12129397242", "--class", "student"},
		{"tel:+12129397242", "--class", "phd"},
		{"tel:+12128541234", "--class", "student"},
		{"tel:+12125551234", "--class", "phd"},
		{"tel:+12125551234", "--class", "student"},
		{"tel:+12125551234"},
		{"tel:+13475551234", "--class", "staff"},
		{"tel:+19145551234", "--class", "faculty"},
		{"tel:12125551234;phone-context=example.com", "--class", "faculty"},
		{"tel:+1212555123", "--class", "faculty"},
		{"tel:+121255512345", "--class", "faculty"},
		{"tel:+12129397042", "--class", "guest"},
		{"sip:7042@example.com", "--from", "bob@example.com"},
		{"sip:7139@example.com;user=phone", "--from", "bob@example.com"},
		{"sip:9(555)1234@example.com", "--from", "carol@example.com"},
		{"sip:90114420@example.com", "--from", "carol@example.com"},
		{"sip:7242@example.com", "--from", "carol@example.com"},
		{"sip:7001@example.com", "--from", "alice@example.com"},
		{"sip:911@example.com", "--source", "127.0.0.1"},
		{"sip:911@example.com", "--source", "203.0.113.1"},
		{"sip:sales@example.com", "--from", "carol@example.com"},
		{"sip:bob@example.com", "--from", "alice@example.com", "--no-credentials"},
		{"sip:bob@elsewhere.example", "--from", "alice@example.com"},
	} {
		r := call(t, "", append([]string{"explain", d}, args...)...)
		fmt.Fprintf(&got, "$ sipd explain %s\n%s%s\n", strings.Join(args, " "), r.out, r.err)
		if r.code != exitDone {
			t.Errorf("%v: got status %d: %s", args, r.code, r.err)
		}
	}
	const golden = "testdata/explain.txt"
	if f := flag.Lookup("update"); f != nil && f.Value.String() == "true" {
		if err := os.WriteFile(golden, []byte(got.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("got\n%s\nwant what stands in %s", got.String(), golden)
	}
}

func TestExplainFlags(t *testing.T) {
	d := campus(t)
	must(t, "user", "set", "alice@example.com", "-c", "phd", d)
	expect(t, []expectation{
		{"his own class", []string{"explain", "tel:+12125551234", "--from", "carol@example.com", "--json", d}, 0, `"class": "phd"`},
		{"another class", []string{"explain", "tel:+12125551234", "--from", "carol@example.com", "--class", "student", d}, 0, "=> rejected with 403"},
		{"no class", []string{"explain", "tel:+12125551234", "--from", "carol@example.com", "--class", "null", d}, 0, "=> rejected with 403"},
		{"a class without proof", []string{"explain", "tel:+12125551234", "--class", "phd", "--no-credentials", d}, 0, "=> challenged with 407"},
		{"hunt group", []string{"explain", "tel:+44123", "--class", "phd", d}, 0, "group 1  q=1  sip:00123@gw1.example.net\n      else, when it fails  sip:00123@gw2.example.net"},
		{"hunt group in JSON", []string{"explain", "tel:+44123", "--class", "phd", "--json", d}, 0, `"else": [`},
		{"unknown class", []string{"explain", "tel:+12125551234", "--class", "dean", d}, 2, "no gateway class dean; `sipd class list`"},
		{"no time", []string{"explain", "bob@example.com", "--at", "noon", d}, 2, "write 2026-03-01T18:30:00Z"},
		{"no source", []string{"explain", "bob@example.com", "--source", "here", d}, 2, "write 192.0.2.7"},
		{"nothing to explain", []string{"explain", d}, 2, "accepts 1 arg"},
		{"a call and a URI", []string{"explain", "bob@example.com", "--call", "1", d}, 2, "unknown command"},
		{"a call that has been made", []string{"explain", "--call", "1", "--class", "phd", d}, 2, "--class does not go with --call"},
		{"admin without call", []string{"explain", "bob@example.com", "--admin", "127.0.0.1:1", d}, 2, "--admin goes with --call"},
		{"nobody there", []string{"explain", "--call", "1", "--admin", "unix:" + filepath.Join(t.TempDir(), "none"), d}, 1, "write --admin ADDR:PORT"},
		{"admin off", []string{"explain", "--call", "1", "--admin", "off", d}, 2, "AdminListen is off"},
		{"no address", []string{"explain", "--call", "1", "--admin", "8060", d}, 2, "--admin"},
		{"an empty Call-ID", []string{"explain", "--call", "", "--admin", "127.0.0.1:1", d}, 2, "1 to 2048 characters"},
	})
}

// A gateway's own call is taken as one by where it comes from, and a drained gateway gets none.
func TestExplainGateways(t *testing.T) {
	d := campus(t)
	must(t, "gateway", "add", "gw1.example.net", "sip:192.0.2.51", "--net", "192.0.2.0/24", "--class", "phd", d)
	must(t, "gateway", "add", "gw2.example.net", "sip:192.0.2.52", d)
	expect(t, []expectation{
		{"its own call", []string{"explain", "tel:+12125551234", "--source", "192.0.2.9", d}, 0, "a gateway's own call is trusted"},
		{"by the tables", []string{"explain", "tel:+44123", "--class", "phd", d}, 0, "sip:00123@192.0.2.51  gateways:1\n      else, when it fails  sip:00123@192.0.2.52  gateways:2"},
	})
	must(t, "gateway", "drain", "gw1.example.net", d)
	expect(t, []expectation{
		{"drained", []string{"explain", "tel:+44123", "--class", "phd", d}, 0, "q=1  sip:00123@192.0.2.52  gateways:2"},
	})
}

func TestTimes(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 30, 0, 0, time.FixedZone("", 3600))
	for _, tt := range []struct{ text, want string }{
		{"", "2026-03-01T12:30:00+01:00"},
		{"18:05", "2026-03-01T18:05:00+01:00"},
		{"2027-01-02 03:04", "2027-01-02T03:04:00+01:00"},
		{"2027-01-02T03:04", "2027-01-02T03:04:00+01:00"},
		{"2027-01-02T03:04:05Z", "2027-01-02T03:04:05Z"},
	} {
		if got, err := timeOf(tt.text, now); err != nil || got.Format(time.RFC3339) != tt.want {
			t.Errorf("%q: got %v, %v, want %s", tt.text, got, err, tt.want)
		}
	}
}

// TestExplainCall makes calls over a running server, and asks it what has become of them.
func TestExplainCall(t *testing.T) {
	d := database(t)
	for _, name := range []string{"alice", "bob"} {
		if r := call(t, "pw\n", "user", "add", name+"@example.com", "-p", "-", d); r.code != 0 {
			t.Fatal(r.err)
		}
	}
	must(t, "forward", "set", "alice@example.com", "busy", "sip:bob@example.com", d)
	admin := "unix:" + filepath.Join(t.TempDir(), "admin.sock")
	r := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", admin, "--set", "AuthMethod=none")
	addr := strings.TrimPrefix(r.addrs[0], "udp:")
	phone, err := net.Dial("udp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer phone.Close()
	if err := phone.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	local := phone.LocalAddr().String()
	send := func(format string, args ...any) {
		t.Helper()
		if _, err := fmt.Fprintf(phone, strings.ReplaceAll(format, "\n", "\r\n"), args...); err != nil {
			t.Fatal(err)
		}
	}
	// receive waits for a message that begins with start; 100 and retransmissions are passed over.
	receive := func(start string) string {
		t.Helper()
		for buf := make([]byte, 8192); ; {
			n, err := phone.Read(buf)
			if err != nil {
				t.Fatalf("%s: %v", start, err)
			}
			if got := string(buf[:n]); strings.HasPrefix(got, start) {
				return got
			}
		}
	}
	send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP %[1]s;branch=z9hG4bKr\nFrom: <sip:alice@example.com>;tag=1\nTo: <sip:alice@example.com>\nCall-ID: r\nCSeq: 1 REGISTER\n"+
		"Max-Forwards: 70\nContact: <sip:alice@%[1]s>\nContent-Length: 0\n\n", local)
	receive("SIP/2.0 200 ")
	invite := func(uri, id, branch string) {
		t.Helper()
		send("INVITE %s SIP/2.0\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s\nFrom: <sip:carol@elsewhere.example>;tag=1\nTo: <%s>\nCall-ID: %s\nCSeq: 1 INVITE\nMax-Forwards: 70\nContact: <sip:%s>\nContent-Length: 0\n\n",
			uri, local, branch, uri, id, local)
	}
	// Characters that have a meaning in a path, for one who would let them.
	const id = "../a//b?c#%2F@" + "192.0.2.1"
	invite("sip:alice@example.com", id, "1")
	got := receive("INVITE sip:alice@")
	var vias []string
	for line := range strings.SplitSeq(got, "\r\n") {
		if strings.HasPrefix(line, "Via:") {
			vias = append(vias, line)
		}
	}
	send("SIP/2.0 486 Busy\n%s\nFrom: <sip:carol@elsewhere.example>;tag=1\nTo: <sip:alice@example.com>;tag=2\nCall-ID: %s\nCSeq: 1 INVITE\nContent-Length: 0\n\n", strings.Join(vias, "\r\n"), id)
	receive("SIP/2.0 486 ")

	expect(t, []expectation{
		{"he is there", []string{"explain", "alice@example.com", "--from", "bob@example.com", d}, 0, "sip:alice@" + local + "  of alice@example.com\nwhen his telephones are busy (486):\n    1  forward "},
		{"but not for ever", []string{"explain", "alice@example.com", "--from", "bob@example.com", "--at", "2200-01-01T00:00:00Z", d}, 0, "=> rejected with 480"},
		{"forwards in JSON", []string{"explain", "alice@example.com", "--from", "bob@example.com", "--json", d}, 0, `"when": "busy"`},
	})
	out := must(t, "explain", "--call", id, "--admin", admin)
	for _, want := range []string{
		"  INVITE sip:alice@example.com\nCall-ID " + id + ", CSeq 1, from sip:carol@elsewhere.example at " + local + " (UDP)\n 1  domain",
		"=> proxied to\n   group 1  q=1  sip:alice@" + local + "  of alice@example.com\nthen, after\n",
		" s  486 from sip:alice@" + local + " at " + local + " (UDP)\n",
		" s  all have failed; the forwards of who is called are asked\n             1  forward       sip:bob@example.com              match     forwards:",
		" s  => 486 to the caller\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("got\n%s\nwant in it\n%s", out, want)
		}
	}
	var v struct {
		Calls []struct {
			CallID string `json:"call_id"`
			Final  int    `json:"final_status"`
			Events []struct{ What string }
			Trace  []struct{ Rule, Verdict string }
		}
	}
	if err := json.Unmarshal([]byte(must(t, "explain", "--json", "--call", id, "--admin", admin)), &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Calls) != 1 || v.Calls[0].CallID != id || v.Calls[0].Final != 486 || len(v.Calls[0].Events) != 3 || v.Calls[0].Trace[0].Rule != "domain" {
		t.Errorf("got %+v", v)
	}
	// The settings in the database say where the server answers, too.
	invite("sip:nobody@example.com", "2", "2")
	receive("SIP/2.0 404 ")
	if out := must(t, "explain", "--call", "2", "--admin", admin, d); !strings.Contains(out, "=> rejected with 404\nthen, after\n") {
		t.Errorf("got %s, want a call that was refused", out)
	}
	expect(t, []expectation{
		{"another", []string{"explain", "--call", "3", "--admin", admin}, 1, `has no call "3": it is not among the last 10000 calls`},
	})
}
