package resolve

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"

	"sipd/sipaddr"
)

// maxEnumURI is how long the URI of a record may be: back-references can make much of little.
const maxEnumURI = 1000

// isSIP says why a service field is not one of SIP, "" when it is (RFC 6116 3.4.3, RFC 3764): "E2U+sip", also among others, or in the
// old form "sip+E2U" (5.2). Case does not matter.
func isSIP(service string) (why string) {
	parts := strings.Split(strings.ToLower(service), "+")
	switch {
	case len(parts) < 2:
		return "the service is not one of ENUM"
	case parts[0] == "e2u":
		parts = parts[1:]
	case len(parts) == 2 && parts[1] == "e2u": // RFC 2916 2.4
		parts = parts[:1]
	default:
		return "the service is not one of ENUM"
	}
	sip := false
	for _, s := range parts {
		for _, word := range strings.Split(s, ":") {
			if len(word) == 0 || len(word) > 32 || strings.Trim(word, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" {
				return "the service cannot be read"
			}
		}
		if strings.HasPrefix(s, "p-") { // 3.4.3.1: of some private network.
			return "the service is a private one"
		}
		sip = sip || s == "sip"
	}
	if !sip {
		return "the service is not sip"
	}
	return ""
}

// rewrite applies the expression of a record to a number (RFC 3402 3.2). What results must be a SIP URI. work is what expressions may
// cost; what this one does is taken from it.
func rewrite(number, field string, work *int) (uri string, err error) {
	ere, repl, err := splitSubst(field)
	if err != nil {
		return "", err
	}
	groups, err := match(number, ere, work)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for i := 0; i < len(repl); i++ {
		c := repl[i]
		if c == '\\' && i+1 < len(repl) {
			i++
			if c = repl[i]; c >= '0' && c <= '9' { // \0 is the whole, as sed's &; RFC 3402 has \1 to \9.
				n := int(c - '0')
				if 2*n+1 >= len(groups) {
					return "", fmt.Errorf("it refers to group %d, and has %d", n, len(groups)/2-1)
				}
				if from := groups[2*n]; from >= 0 {
					b.WriteString(number[from:groups[2*n+1]])
				}
				continue
			}
		}
		b.WriteByte(c)
	}
	uri = b.String()
	if len(uri) > maxEnumURI { // The field has 255 bytes, so nothing grows without bound before.
		return "", fmt.Errorf("the URI has %d bytes, %d are taken", len(uri), maxEnumURI)
	}
	u, err := sipaddr.Parse([]byte(uri))
	switch {
	case err != nil:
		return "", fmt.Errorf("%q: %w", clip(uri), err)
	case u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS:
		return "", fmt.Errorf("%q is not a SIP URI", clip(uri))
	case len(u.Headers) > 0: // RFC 3261 19.1.1: not in a Request-URI
		return "", fmt.Errorf("%q has header fields", clip(uri))
	}
	return uri, nil
}

// splitSubst divides !ERE!REPL!FLAGS. The delimiter is whatever stands first; escaped by a backslash it is itself.
func splitSubst(field string) (ere, repl string, err error) {
	if field == "" {
		return "", "", errors.New("it has no expression")
	}
	d := field[0]
	if d >= '0' && d <= '9' || d == 'i' || d == 'I' || d == '\\' || d <= ' ' || d > '~' {
		return "", "", fmt.Errorf("%q cannot be a delimiter", d)
	}
	var parts []string
	start := 1
	for i := 1; i < len(field); i++ {
		switch field[i] {
		case '\\':
			i++
		case d:
			parts = append(parts, field[start:i])
			start = i + 1
		}
	}
	if len(parts) != 2 { // 5.2: more or fewer than three delimiters
		return "", "", fmt.Errorf("the expression has %d delimiters instead of 3", len(parts)+1)
	}
	if flags := field[start:]; strings.Trim(flags, "iI") != "" { // i makes no difference to digits (5.2).
		return "", "", fmt.Errorf("%q are flags that are not known", clip(flags))
	}
	ere = parts[0]
	if d >= 'A' && d <= 'z' && (d <= 'Z' || d >= 'a') { // \x is the letter here, and means something else in an expression.
		ere = strings.ReplaceAll(ere, `\`+string(d), string(d))
	}
	return ere, parts[1], nil
}

// match finds a POSIX extended regular expression in a number: the leftmost, of those the longest. Where a
// group could then begin or end in several places, the first alternative counts. The groups are pairs of offsets.
func match(number, ere string, work *int) (groups []int, err error) {
	if ere == "^.*$" || ere == "^(.*)$" || ere == ".*" { // What most zones have.
		groups = []int{0, len(number), 0, len(number)}
		if ere[1] != '(' {
			groups = groups[:2]
		}
		return groups, nil
	}
	if rest, ok := strings.CutPrefix(ere, "^+"); ok { // 5.1: + must be escaped; after ^ it can mean nothing else.
		ere = `^\+` + rest
	}
	tooLarge := errors.New("the expression is too large, or those before it together")
	if *work <= 0 {
		return nil, tooLarge
	}
	tree, err := syntax.Parse(ere, syntax.POSIX)
	if err != nil {
		return nil, err
	}
	if *work -= cost(tree); *work <= 0 {
		return nil, tooLarge
	}
	re, err := regexp.CompilePOSIX(ere)
	if err != nil {
		return nil, err
	}
	if groups = re.FindStringSubmatchIndex(number); groups == nil {
		return nil, errors.New("the number does not match")
	}
	return groups, nil
}

// cost is about how many instructions an expression has when its repetitions are written out. The parser has made sure that it is not
// deeper than 1000, and that no part is repeated more than 1000 times.
func cost(re *syntax.Regexp) int {
	n := 1
	for _, sub := range re.Sub {
		n += cost(sub)
	}
	switch re.Op {
	case syntax.OpRepeat:
		return n * max(re.Max, re.Min+1)
	case syntax.OpLiteral:
		return n + len(re.Rune)
	case syntax.OpCharClass:
		return n + len(re.Rune)/2
	}
	return n
}

// unescape undoes what the DNS library does to texts: \\, \" and \DDD stand for a byte.
func unescape(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			if i+3 < len(s) && digit(s[i+1]) && digit(s[i+2]) && digit(s[i+3]) {
				b = append(b, (s[i+1]-'0')*100+(s[i+2]-'0')*10+s[i+3]-'0')
				i += 3
				continue
			}
			i++
			c = s[i]
		}
		b = append(b, c)
	}
	return string(b)
}

func digit(c byte) bool { return c >= '0' && c <= '9' }
