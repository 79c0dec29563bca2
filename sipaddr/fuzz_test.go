package sipaddr_test

import (
	"bytes"
	"testing"

	"sipd/sipaddr"
)

// FuzzURI parses two texts: nothing panics, fields lie in the text, comparison is reflexive and symmetric, and an AOR is
// stable.
func FuzzURI(f *testing.F) {
	seeds := []string{
		"sip:vivekg@chair-dnrc.example.com;unknownparam", "sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp",
		"sip:1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d_too.(doesn't-it)@example.com",
		"sip:sips%3Auser%40example.com@example.net", "sip:cal%6Cer@host5.example.net;%6C%72;n%61me=v%61lue%25%34%31",
		"sip:null-%00-null@example.com", "sip:user;par=u%40example.net@example.com", "sip:user@example.com?Route=%3Csip:example.com%3E",
		"sip:[2001:db8::10]:5070", "sip:2001:db8::10", "sip:user@[2001:db8:::192.0.2.1]", "tel:+1-212-555-0100;ext=1;phone-context=+1",
		"nobodyKnowsThisScheme:totallyopaquecontent", "soap.beep://192.0.2.103:3002", "sip:user@example.com; lr", "sips:a:b@h:1;lr;x=1?a=b&c=d",
	}
	for i, s := range seeds {
		f.Add([]byte(s), []byte(seeds[(i+1)%len(seeds)]))
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		u, err := sipaddr.Parse(a)
		if err != nil {
			if err.Error() == "" {
				t.Fatal("error without a text")
			}
			return
		}
		for _, field := range [][]byte{u.User, u.Password, u.Host, u.Params, u.Headers} {
			if !bytes.Contains(a, field) {
				t.Fatalf("field %q does not lie in %q", field, a)
			}
		}
		if !u.Equal(&u) {
			t.Fatalf("%q does not equal itself", a)
		}
		if addr, ok := u.Addr(); ok && !addr.IsValid() {
			t.Fatal("an invalid address")
		}
		if aor := u.AppendAOR(nil); len(aor) > 0 {
			again, err := sipaddr.Parse(sipaddr.AOR(aor).AppendURI(nil))
			if err != nil {
				t.Fatalf("AOR %q of %q cannot be parsed: %v", aor, a, err)
			}
			if got := again.AppendAOR(nil); !bytes.Equal(got, aor) {
				t.Fatalf("AOR of AOR: got %q, want %q", got, aor)
			}
		}
		if number, ok := u.AppendNumber(nil); ok && len(number) == 0 {
			t.Fatal("an empty number")
		}
		v, err := sipaddr.Parse(b)
		if err == nil && u.Equal(&v) != v.Equal(&u) {
			t.Fatalf("%q and %q: comparison is not symmetric", a, b)
		}
	})
}
