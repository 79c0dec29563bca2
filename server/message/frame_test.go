package message_test

import (
	"errors"
	"strings"
	"testing"

	"sipd/server/message"
)

func TestFrame(t *testing.T) {
	const head = "OPTIONS sip:b@h SIP/2.0\n" + lines
	const whole = head + "Content-Length: 5\n\nhello"
	tests := []struct {
		name, stream string
		skip, n      int // of the text, where a line end counts one
		status       int // of the error
		why          string
	}{
		{"nothing", "", 0, 0, 0, ""},
		{"keepalive", "\n\n", 2, 0, 0, ""},
		{"whole", whole, 0, len(whole), 0, ""},
		{"whole and more", whole + whole, 0, len(whole), 0, ""},
		{"keepalives before it", "\n\n\n\n" + whole, 4, len(whole), 0, ""},
		{"cut in the start line", whole[:10], 0, 0, 0, ""},
		{"cut in the headers", whole[:60], 0, 0, 0, ""},
		{"cut before the empty line", head + "Content-Length: 5\n", 0, 0, 0, ""},
		{"cut in the body", whole[:len(whole)-1], 0, 0, 0, ""},
		{"no body", head + "l:0\n\n", 0, len(head + "l:0\n\n"), 0, ""},
		{"compact, odd case and folded", head + "L \t:\n 5\nX: y\n\nhello", 0, len(head + "L \t:\n 5\nX: y\n\nhello"), 0, ""},
		{"leading zeros", head + "CONTENT-LENGTH: 0005\n\nhello", 0, len(head + "CONTENT-LENGTH: 0005\n\nhello"), 0, ""},
		{"fold may follow", head + "l: 5", 0, 0, 0, ""},
		{"fold of another header is no header", head + "X: y\n l: 9\nl: 0\n\n", 0, len(head + "X: y\n l: 9\nl: 0\n\n"), 0, ""},
		{"a name that only starts like it", head + "Content-Lengthy: 9\nl: 0\n\n", 0, len(head + "Content-Lengthy: 9\nl: 0\n\n"), 0, ""},
		{"missing", head + "\n", 0, 0, 400, "is missing"},
		{"negative, RFC 4475 3.1.2.3", head + "Content-Length: -999\n\n", 0, 0, 400, "not a number"},
		{"a word", head + "Content-Length: five\n\n", 0, 0, 400, "not a number"},
		{"empty", head + "Content-Length:\n\n", 0, 0, 400, "not a number"},
		{"two numbers", head + "Content-Length: 5, 5\n\n", 0, 0, 400, "not a number"},
		{"no colon", head + "Content-Length 5\n\n", 0, 0, 400, "not a number"},
		{"twice, RFC 4475 3.3.9", head + "Content-Length: 13\nl: 5\n\n", 0, 0, 400, "more than once"},
		{"larger than a message", head + "Content-Length: 65535\n\n", 0, 0, 513, "longer than 65535"},
		{"larger than any number", head + "Content-Length: 99999999999999999999999\n\n", 0, 0, 513, "longer than 65535"},
		{"endless line", strings.Repeat("x", message.MaxMessage), 0, 0, 513, "headers are longer"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			skip, n, err := message.Frame(crlf(tt.stream))
			wantSkip := len(crlf(tt.stream[:tt.skip]))
			wantN := len(crlf(tt.stream[tt.skip : tt.skip+tt.n]))
			if skip != wantSkip || n != wantN {
				t.Errorf("got %d and %d, want %d and %d", skip, n, wantSkip, wantN)
			}
			status := 0
			var bad *message.Malformed
			if errors.As(err, &bad) {
				status = bad.Status
			}
			if status != tt.status || err != nil && !strings.Contains(err.Error(), tt.why) {
				t.Errorf("got %v, want %d %s", err, tt.status, tt.why)
			}
		})
	}
	if _, _, err := message.Frame([]byte("OPTIONS sip:b@h SIP/2.0\nl: 0\n\n")); err == nil {
		t.Error("got no error for line feeds alone, which Index would not take for line ends")
	}
}
