package main

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

func TestEnumCommand(t *testing.T) {
	server := dnsServer(t)
	conf := filepath.Join(t.TempDir(), "sipd.conf")
	writeFile(t, conf, "UserConfig "+strings.TrimPrefix(database(t), "-D")+"\nResolver "+server+"\nEnumRoot numbers.example\n")
	expect(t, []expectation{
		{"step by step", []string{"dns", "enum", "+44 1632-960083", "--root", "numbers.example", "--resolver", server}, 0,
			"+441632960083 below numbers.example by RFC 6116, name servers " + server + "\n" +
				"3.2    +441632960083 is looked for at 3.8.0.0.6.9.2.3.6.1.4.4.numbers.example\n" +
				"3.2  3.8.0.0.6.9.2.3.6.1.4.4.numbers.example NAPTR: 2, for 60 s, from " + server + " by UDP\n" +
				`3.4    order 100, preference 50, "u" "E2U+sip" "!^(\\+44.*)$!sip:\\1@example.com!": sip:+441632960083@example.com` + "\n" +
				`3.4.3    order 100, preference 51, "u" "E2U+h323" "!^.*$!h323:x@example.com!": passed over: the service is not sip` + "\n" +
				"=> tried in this order\n   URI                            RECORD OF                                ORDER  PREFERENCE\n" +
				"1  sip:+441632960083@example.com  3.8.0.0.6.9.2.3.6.1.4.4.numbers.example  100    50\n"},
		{"the tree of the settings", []string{"dns", "enum", "tel:+441632960083", "-f", conf}, 0, "1  sip:+441632960083@example.com"},
		{"the public one", []string{"dns", "enum", "+49", "--resolver", server}, 1, ""},
		{"no global number", []string{"dns", "enum", "201"}, 2, "write +44-1632-960083"},
		{"no number", []string{"dns", "enum", "+"}, 2, "write +44-1632-960083"},
		{"a number with letters", []string{"dns", "enum", "+44x"}, 2, "write +44-1632-960083"},
		{"nothing", []string{"dns", "enum"}, 2, "sipd dns enum NUMBER"},
	})
	r := call(t, "", "dns", "enum", "+49", "--resolver", server)
	if want := "=> resolve: no SIP address of this number: +49 in e164.arpa\n"; r.code != 1 || !strings.HasSuffix(r.out, want) {
		t.Errorf("got %+v, want %s", r, want)
	}
	var v enumView
	if err := json.Unmarshal([]byte(must(t, "dns", "enum", "--json", "+441632960083", "-f", conf)), &v); err != nil {
		t.Fatal(err)
	}
	if v.Number != "+441632960083" || v.Root != "numbers.example" || len(v.Steps) != 4 || len(v.Targets) != 1 ||
		v.Targets[0] != (enumTargetView{"sip:+441632960083@example.com", "3.8.0.0.6.9.2.3.6.1.4.4.numbers.example", 100, 50}) {
		t.Errorf("got %+v", v)
	}
}
