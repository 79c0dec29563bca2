package locator

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"sipd/sipaddr"
)

func TestParse(t *testing.T) {
	long := "sip:" + strings.Repeat("x", maxURI) + "@example.com"
	many, first20 := "", "30s"
	for i := range maxContacts + 10 {
		many += fmt.Sprintf("sip:a%d@example.com\n", i)
		if i < maxContacts {
			first20 += fmt.Sprintf(" sip:a%d@example.com=1000", i)
		}
	}
	for _, c := range []struct{ name, text, want string }{
		{"nothing", "", "5s"},
		{"empty lines and remarks", "\n  \r\n# nobody\n", "5s"},
		{"a contact", "sip:bob@192.0.2.1", "30s sip:bob@192.0.2.1=1000"},
		{"contacts by q", "sip:a@e.net 0.2\r\nsips:b@e.net;transport=tcp\n  sip:c@e.net\t0.5  \n", "30s sips:b@e.net;transport=tcp=1000 sip:c@e.net=500 sip:a@e.net=200"},
		{"alike: in their order", "sip:b@e.net\nsip:a@e.net\n", "30s sip:b@e.net=1000 sip:a@e.net=1000"},
		{"twice", "sip:b@e.net\nsip:b@e.net 0.1\n", "30s sip:b@e.net=1000"},
		{"how long it holds", "ttl 600\nsip:b@e.net\n", "10m0s sip:b@e.net=1000"},
		{"not at all", "sip:b@e.net\nTTL 0\n", "0s sip:b@e.net=1000"},
		{"nobody for a while", "ttl 60", "1m0s"},
		{"for ever", "ttl 2147483647\nsip:b@e.net", "1h0m0s sip:b@e.net=1000"},
		{"a bad ttl", "ttl -1\nttl 4294967296\nttl\nsip:b@e.net", "30s sip:b@e.net=1000 | line 1: write ttl and a number of seconds | line 2: write ttl and a number of seconds | line 3: write ttl and a number of seconds"},
		{"what is bad is passed over", "bob\nsip:b@e.net 2\nsip:b@e.net 0.5 x\ntel:+1\nsip:b@e.net?Subject=x\nsip:a@e.net\nsip:\n",
			`30s sip:a@e.net=1000 | line 1: "bob": URI does not start with a scheme such as sip: (byte 4) | line 2: "2" is not a q value; write a number from 0 to 1` +
				` | line 3: 3 words; write a URI, and a q value or nothing | line 4: "tel:+1" is neither a sip nor a sips URI | line 5: "sip:b@e.net?Subject=x" has header fields`},
		{"a long URI", long + "\nsip:a@e.net", "30s sip:a@e.net=1000 | line 1: a URI of 1016 bytes, at most 1000"},
		{"many", many, first20 + " | line 21: more than 20 contacts | line 22: more than 20 contacts | line 23: more than 20 contacts | line 24: more than 20 contacts | line 25: more than 20 contacts"},
		{"nothing but faults", "<html>\n<body>\n", `the answer cannot be used: line 1: "<html>": URI does not start with a scheme such as sip: (byte 1)`},
		{"bytes", "\x00\xff\xfe", `the answer cannot be used: line 1: "\x00\xff\xfe": URI does not start with a scheme such as sip: (byte 1)`},

		{"JSON", `{"contacts": [{"uri": "sip:a@e.net", "q": 0.25}, {"uri": "sip:b@e.net", "tag": 1}], "ttl": 90, "more": {}}`, "1m30s sip:b@e.net=1000 sip:a@e.net=250"},
		{"JSON, nobody", ` {"contacts": null} `, "5s"},
		{"JSON, nothing", `{}`, "5s"},
		{"JSON, faults", `{"contacts": [{"uri": "sip:a@e.net", "q": 1.5}, {"q": 1}, {"uri": "sip:b@e.net", "q": 0}], "ttl": -1}`,
			`30s sip:b@e.net=0 | ttl -1: write a number of seconds | contact 1: 1.5 is not a q value; write a number from 0 to 1 | contact 2: "": URI does not start with a scheme such as sip: (byte 1)`},
		{"JSON, a long time", `{"ttl": 1e300}`, "1h0m0s"},
		{"JSON, a list", `["sip:a@e.net"]`, "JSON: json: cannot unmarshal array into Go value of type"},
		{"JSON, broken", `{"contacts": [`, "JSON: unexpected end of JSON input"},
		{"JSON, deep", `{"contacts": ` + strings.Repeat("[", 20_000), "JSON: invalid character"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, err := parse([]byte(c.text))
			got := a.TTL.String()
			for _, contact := range a.Contacts {
				got += fmt.Sprintf(" %s=%d", contact.URI, contact.Q)
			}
			for _, f := range a.Faults {
				got += " | " + f
			}
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || !strings.HasPrefix(got, c.want)) {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

// FuzzParse: whatever is written, contacts that can be called result, within the bounds, or a reason.
func FuzzParse(f *testing.F) {
	for _, text := range []string{"sip:bob@192.0.2.1 0.5\nttl 60\n", "# x\r\n\r\nsips:a@[::1]:5061;x\n", `{"contacts": [{"uri": "sip:a@e.net", "q": 0.25}], "ttl": 9}`, "ttl", "{", "[[", "\xff"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := parse(text)
		if err != nil {
			if len(err.Error()) > 2000 {
				t.Errorf("%q: an error of %d bytes", text, len(err.Error()))
			}
			return
		}
		if len(a.Contacts) > maxContacts || len(a.Faults) > maxFaults || a.TTL < 0 || a.TTL > maxTTL {
			t.Errorf("%q: got %d contacts, %d faults, %v", text, len(a.Contacts), len(a.Faults), a.TTL)
		}
		last := 1000
		for _, c := range a.Contacts {
			u, err := sipaddr.Parse([]byte(c.URI))
			if err != nil || u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS || len(c.URI) > maxURI || c.Q < 0 || c.Q > last {
				t.Errorf("%q: got %q %d after %d", text, c.URI, c.Q, last)
			}
			last = c.Q
		}
	})
}

func TestCacheBounds(t *testing.T) {
	now := time.Now()
	c := cache{entries: map[Query]*entry{}}
	for i := range 2 * maxEntries {
		c.put(Query{AOR: fmt.Sprintf("u%d@example.com", i)}, &entry{until: now.Add(time.Minute)}, now)
	}
	big := []Contact{{URI: strings.Repeat("x", maxURI)}}
	for i := range maxEntries {
		e := &entry{until: now.Add(time.Minute)}
		for range maxContacts {
			e.contacts = append(e.contacts, big[0])
		}
		c.put(Query{AOR: fmt.Sprintf("v%d@example.com", i)}, e, now)
	}
	sum := 0
	for q, e := range c.entries {
		sum += q.size(e)
	}
	if len(c.entries) > maxEntries || len(c.entries) < 100 || c.bytes > maxBytes || c.bytes != sum {
		t.Errorf("got %d entries of %d bytes, %d counted; want at most %d of %d", len(c.entries), sum, c.bytes, maxEntries, maxBytes)
	}
	q := Query{AOR: "again@example.com"}
	c.put(q, &entry{until: now.Add(time.Second)}, now)
	if c.get(q, now) == nil || c.get(q, now.Add(time.Second)) != nil {
		t.Error("an entry holds for its time, and no longer")
	}
	c.put(q, &entry{until: now}, now)
	if c.entries[q] != nil {
		t.Error("what does not hold is kept")
	}
}
