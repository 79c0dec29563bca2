package soak

import (
	"fmt"
	"strconv"
	"strings"
)

// Fields returns the values of a header field's lines, as the crowd and the server write them: in the long form.
func Fields(text, name string) (values []string) {
	for len(text) > 0 {
		var line string
		line, text, _ = strings.Cut(text, "\r\n")
		if line == "" {
			break
		}
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(line[:len(name)], name) {
			values = append(values, strings.TrimSpace(line[len(name)+1:]))
		}
	}
	return values
}

// Field is the first of Fields, "" for none.
func Field(text, name string) string {
	if v := Fields(text, name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Status returns the status of a response, 0 for none.
func Status(text string) int {
	if len(text) < 12 {
		return 0
	}
	n, err := strconv.Atoi(text[8:11])
	if err != nil {
		return 0
	}
	return n
}

// branchOf returns the branch of the topmost Via.
func branchOf(text string) string {
	_, rest, _ := strings.Cut(Field(text, "Via"), ";branch=")
	branch, _, _ := strings.Cut(rest, ";")
	return branch
}

// methodOf returns the method of CSeq, and its number.
func cseqOf(text string) (number int, method string) {
	n, method, _ := strings.Cut(Field(text, "CSeq"), " ")
	number, err := strconv.Atoi(n)
	if err != nil {
		return 0, method
	}
	return number, method
}

// inBrackets returns what stands between < and >.
func inBrackets(s string) string {
	_, rest, _ := strings.Cut(s, "<")
	uri, _, _ := strings.Cut(rest, ">")
	return uri
}

// draft is a request to be written.
type draft struct {
	method, uri, from, to, callID string
	cseq                          int
	more                          string // header lines, each with its CRLF
	body                          string
}

// text writes it for a line.
func (d *draft) text(l *line, branch string) string {
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n%sContent-Length: %d\r\n\r\n%s",
		d.method, d.uri, l.proto, l.addr, branch, d.from, d.to, d.callID, d.cseq, d.method, d.more, len(d.body), d.body)
}

// reply is a response to a request (RFC 3261 8.2.6).
func reply(request string, status int, tag, more string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d Soak\r\n", status)
	for _, name := range [...]string{"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"} {
		for _, value := range Fields(request, name) {
			if name == "To" && tag != "" && !strings.Contains(value, ";tag=") {
				value += ";tag=" + tag
			}
			b.WriteString(name)
			b.WriteString(": ")
			b.WriteString(value)
			b.WriteString("\r\n")
		}
	}
	b.WriteString(more)
	b.WriteString("Content-Length: 0\r\n\r\n")
	return b.String()
}

// ackFailure is the ACK to a final response that is not 2xx (17.1.1.3).
func ackFailure(invite, response string) string {
	start, _, _ := strings.Cut(invite, "\r\n")
	_, uri, _ := strings.Cut(start, " ")
	uri, _, _ = strings.Cut(uri, " ")
	n, _ := cseqOf(invite)
	return fmt.Sprintf("ACK %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d ACK\r\nContent-Length: 0\r\n\r\n",
		uri, Field(invite, "Via"), Field(invite, "From"), Field(response, "To"), Field(invite, "Call-ID"), n)
}

// routes writes a route set as Route lines: the Record-Route values, for the caller in reverse (12.1.2).
func routes(values []string, reverse bool) string {
	var b strings.Builder
	for i := range values {
		v := values[i]
		if reverse {
			v = values[len(values)-1-i]
		}
		b.WriteString("Route: ")
		b.WriteString(v)
		b.WriteString("\r\n")
	}
	return b.String()
}
