package resolve

import (
	"strings"
	"testing"

	"sipd/sipaddr"
)

func TestIsSIP(t *testing.T) {
	long := strings.Repeat("x", 33)
	for _, c := range []struct{ service, want string }{
		{"E2U+sip", ""},
		{"e2u+SIP", ""},
		{"E2U+email:mailto+sip", ""},
		{"E2U+sip+voice:tel", ""},
		{"E2U+x-lab:one:two+sip", ""},
		{"sip+E2U", ""},
		{"SIP+e2u", ""},
		{"E2U+h323", "the service is not sip"},
		{"E2U+voice:sip", "the service is not sip"},
		{"E2U+sip:video", "the service is not sip"},
		{"E2U+sips", "the service is not sip"},
		{"tel+E2U", "the service is not sip"},
		{"E2U+p-lab+sip", "the service is a private one"},
		{"E2U+sip+P-lab:x", "the service is a private one"},
		{"E2U+" + long + "+sip", "the service cannot be read"},
		{"E2U+sip+", "the service cannot be read"},
		{"E2U+sip+a:", "the service cannot be read"},
		{"E2U+sip+a b", "the service cannot be read"},
		{"E2U+s\xffp+sip", "the service cannot be read"},
		{"E2U", "the service is not one of ENUM"},
		{"", "the service is not one of ENUM"},
		{"SIP+D2U", "the service is not one of ENUM"},
		{"a+sip+E2U", "the service is not one of ENUM"},
		{"E2Usip", "the service is not one of ENUM"},
	} {
		if got := isSIP(c.service); got != c.want {
			t.Errorf("%q: got %q, want %q", c.service, got, c.want)
		}
	}
}

func TestRewrite(t *testing.T) {
	const number = "+441632960083"
	for _, c := range []struct{ name, field, want string }{ // want ends the error when it does not begin with sip
		{"all of it", "!^.*$!sip:info@example.com!", "sip:info@example.com"},
		{"RFC 6116 4", `!^(\+441632960083)$!sip:\1@example.com!`, "sip:+441632960083@example.com"},
		{"the whole in a group", `!^(.*)$!sip:\1@example.com!`, "sip:+441632960083@example.com"},
		{"the whole by 0", `!^.*$!sip:\0@example.com!`, "sip:+441632960083@example.com"},
		{"groups", `!^\+44(1632)(9600)([0-9]{2})$!sip:\3\2\1\1@example.com!`, "sip:83960016321632@example.com"},
		{"nine groups", `!^.(.)(.)(.)(.)(.)(.)(.)(.)(.*)$!sip:\9.\8@example.com!`, "sip:0083.6@example.com"},
		{"a group that took no part", `!^(\+1)?.*$!sip:x\1@example.com!`, "sip:x@example.com"},
		{"a class", `!^\+[[:digit:]]*(..)$!sip:\1@example.com!`, "sip:83@example.com"},
		{"the longest match", `!^\+(44|441632)!sip:\1@example.com!`, "sip:441632@example.com"},
		{"of matches as long the first", `!^\+(44|441632)(.*)$!sip:\1@example.com!`, "sip:44@example.com"},
		{"not anchored", `!1632!sips:bob@example.com!`, "sips:bob@example.com"},
		{"another delimiter", `/^.*$/sip:a!b@example.com/`, "sip:a!b@example.com"},
		{"an escaped delimiter", `!^.*$!sip:a\!b@example.com!`, "sip:a!b@example.com"},
		{"a letter as delimiter", `x^\+44x*(.*)$xsip:\1\xx@example.comx`, "the expression has 6 delimiters instead of 3"},
		{"a letter as delimiter, escaped", `x^\+44\x*(.*)$xsip:\1\x@e.netx`, "sip:1632960083x@e.net"},
		{"flag i", "!^.*$!sip:Info@Example.com!i", "sip:Info@Example.com"},
		{"a parameter", "!^.*$!sip:+441632960083@example.com;user=phone!", "sip:+441632960083@example.com;user=phone"},
		{"+ that is not escaped", "!^+44(.*)$!sip:\\1@example.com!", "sip:1632960083@example.com"},

		{"nothing", "", "it has no expression"},
		{"no match", `!^\+49.*$!sip:a@example.com!`, "the number does not match"},
		{"no replacement", "!^.*$!", "the expression has 2 delimiters instead of 3"},
		{"no end", "!^.*$!sip:a@example.com", "the expression has 2 delimiters instead of 3"},
		{"an escaped end", `!^.*$!sip:a@example.com\!`, "the expression has 2 delimiters instead of 3"},
		{"one more", "!^.*$!sip:a@example.com!!", "the expression has 4 delimiters instead of 3"},
		{"a digit as delimiter", "1^.*$1sip:a@example.com1", `'1' cannot be a delimiter`},
		{"a flag as delimiter", "i^.*$isip:a@example.comi", `'i' cannot be a delimiter`},
		{"a backslash as delimiter", `\^.*$\sip:a@example.com\`, `'\\' cannot be a delimiter`},
		{"a byte above ASCII as delimiter", "\xe9^.*$\xe9sip:a@example.com\xe9", `'é' cannot be a delimiter`},
		{"unknown flags", "!^.*$!sip:a@example.com!g", `"g" are flags that are not known`},
		{"a group that is not there", `!^.*$!sip:\1@example.com!`, "it refers to group 1, and has 0"},
		{"another scheme", "!^.*$!tel:+441632960083!", "is not a SIP URI"},
		{"mail", "!^.*$!mailto:info@example.com!", "is not a SIP URI"},
		{"no scheme", "!^.*$!info@example.com!", "URI does not start with a scheme such as sip: (byte 5)"},
		{"a space", "!^.*$!sip:a b@example.com!", "character in the user part must be escaped (byte 6)"},
		{"a line of its own", "!^.*$!sip:a@example.com\r\nVia: x!", "host or port has a character that does not belong there (byte 18)"},
		{"header fields", "!^.*$!sip:a@example.com?Subject=x!", "has header fields"},
		{"an empty result", "!^.*$!!", "URI does not start with a scheme such as sip: (byte 1)"},
		{"a backslash at the end", `!^.*$!sip:a@example.com\\!`, "host or port has a character that does not belong there (byte 18)"},
		{"an open group", `!^(.*$!sip:a@example.com!`, "missing closing ): `^(.*$`"},
		{"an open class", `!^[0-9$!sip:a@example.com!`, "missing closing ]: `[0-9$`"},
		{"classes of Perl", `!^\+\d*$!sip:a@example.com!`, "invalid escape sequence: `\\d`"},
		{"no bytes of text", "!^\xff*$!sip:a@example.com!", "invalid UTF-8: `\xff*$`"},
		{"a thousand and one", "!^(.{1001})$!sip:a@example.com!", "invalid repeat count: `{1001}`"},
		{"a thousand times a thousand", "!^((.{100}){100})$!sip:a@example.com!", "invalid repeat count: `{100}`"},
		{"much at once", "!^(.{999}|.{998})(.{999}|.{998})(.{999}|.{998})$!sip:a@example.com!", "the expression is too large, or those before it together"},
		{"deep", "!" + strings.Repeat("(", 100) + strings.Repeat(")?", 100) + "^.*$!sip:a@example.com!", "sip:a@example.com"},
		{"more than a URI", "!^(.*)$!sip:" + strings.Repeat(`\1`, 110) + "@e.net!", "the URI has 1440 bytes, 1000 are taken"},
	} {
		t.Run(c.name, func(t *testing.T) {
			work := maxEnumWork
			got, err := rewrite(number, c.field, &work)
			if err != nil {
				got = err.Error()
			}
			if got != c.want && (err == nil || strings.HasPrefix(c.want, "sip") || !strings.HasSuffix(got, c.want)) {
				t.Errorf("%q: got %s, want %s", c.field, got, c.want)
			}
		})
	}
}

func TestUnescape(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{`a`, `a`}, {`\\1`, `\1`}, {`\"`, `"`}, {`\255\000`, "\xff\x00"}, {`\25`, `25`}, {`a\`, `a\`}, {`\\+44`, `\+44`}, {`\033[31m`, "\x21[31m"},
	} {
		if got := unescape(c.in); got != c.want {
			t.Errorf("%q: got %q, want %q", c.in, got, c.want)
		}
	}
}

// FuzzRewrite: whatever stands in a zone, a SIP URI results or a reason, within the bounds.
func FuzzRewrite(f *testing.F) {
	for _, field := range []string{"!^.*$!sip:info@example.com!", `!^(\+44)(.*)$!sip:\2@example.com;x=\1!i`, `/((a{9}){9}|[^0-9]*)?/sips:\0/`, "!^+(4|44)*$!sip:\\9!",
		`!(((.*)*)*)*(|.)+!sip:\1\2\3\4@e!`, "!\\!\\\\!\\\\\\!!", `!^[[:digit:]+-]{1,15}$!sip:\0@[::1]:5060!`} {
		f.Add("+441632960083", field)
	}
	f.Fuzz(func(t *testing.T, number, field string) {
		q := enumQuery{number, "e164.arpa"}
		if q.check() != nil || len(field) > 255 {
			t.Skip()
		}
		work := maxEnumWork
		uri, err := rewrite(number, field, &work)
		if err != nil {
			if uri != "" || len(err.Error()) > 1000 {
				t.Errorf("%q: got %q and %v", field, uri, err)
			}
			return
		}
		u, err := sipaddr.Parse([]byte(uri))
		if err != nil || u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS || len(uri) > maxEnumURI || strings.ContainsAny(uri, " \r\n\x00") || work <= 0 {
			t.Errorf("%q: got %q, work %d", field, uri, work)
		}
	})
}

// BenchmarkRewrite is what a record costs: the common one, one with a group, and the worst that is taken.
func BenchmarkRewrite(b *testing.B) {
	for name, field := range map[string]string{"all": "!^.*$!sip:info@example.com!", "group": `!^\+44([0-9]*)$!sip:\1@example.com!`,
		"worst": "!^(.?){600}(.?){300}$!sip:a@example.com!"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				work := maxEnumWork
				if _, err := rewrite("+441632960083", field, &work); err != nil {
					b.Fatal(err, work)
				}
			}
		})
	}
}
