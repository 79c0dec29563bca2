package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLocatorCommand(t *testing.T) {
	dir := t.TempDir()
	program := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := program("good", "echo 'sip:desk@192.0.2.1 0.5'\necho junk\necho \"sip:${SIPD_AOR%@*}@$SIPD_METHOD.example.net;by=${SIPD_CALLER%@*}\"\necho ttl 60\n")
	nobody := program("nobody", "")
	bad := program("bad", "printf 'no \\033[2J database\\n' >&2\nexit 2\n")
	d := database(t)
	conf := filepath.Join(dir, "sipd.conf")
	writeFile(t, conf, "UserConfig "+strings.TrimPrefix(d, "-D")+"\nLocator exec:"+good+"\n")
	expect(t, []expectation{
		{"contacts", []string{"locator", "test", "bob@Example.com", "--locator", "exec:" + good, "--caller", "sip:alice@example.com", "--method", "MESSAGE"}, 0,
			"passed over: line 2: \"junk\": URI does not start with a scheme such as sip: (byte 5)\n=> for 60 s\n   CONTACT                               Q\n" +
				"1  sip:bob@MESSAGE.example.net;by=alice  1\n2  sip:desk@192.0.2.1                    0.5\n"},
		{"of the settings", []string{"locator", "test", "bob@example.com", "-f", conf}, 0, "1  sip:bob@INVITE.example.net;by=  1\n"},
		{"nobody", []string{"locator", "test", "bob@example.com", "--locator", "exec:" + nobody}, 0, "=> no contact, for 5 s\n"},
		{"none is set", []string{"locator", "test", "bob@example.com", d}, 2, "write the setting Locator"},
		{"none", []string{"locator", "test", "bob@example.com", "--locator", "off"}, 2, "write the setting Locator"},
		{"not one", []string{"locator", "test", "bob@example.com", "--locator", "bob"}, 2, "write exec:/usr/local/bin/locate"},
		{"no address", []string{"locator", "test", "@", "--locator", "exec:" + good}, 2, "write bob@example.com"},
		{"locator alone", []string{"locator"}, 2, "sub-commands"},
	})
	r := call(t, "", "locator", "test", "bob@example.com", "--locator", "exec:"+bad)
	if want := `=> locator: no answer: exit status 2: "no \x1b[2J database"` + "\n"; r.code != 1 || !strings.HasSuffix(r.out, want) || r.err != "" {
		t.Errorf("got %+v, want %s", r, want)
	}
	var v locatorView
	if err := json.Unmarshal([]byte(must(t, "locator", "test", "bob@example.com", "--json", "--locator", "exec:"+good)), &v); err != nil {
		t.Fatal(err)
	}
	if v.AOR != "bob@example.com" || v.TTL != 60 || len(v.Faults) != 1 || len(v.Contacts) != 2 || v.Contacts[1] != (locatedView{"sip:desk@192.0.2.1", 0.5}) {
		t.Errorf("got %+v", v)
	}
}
