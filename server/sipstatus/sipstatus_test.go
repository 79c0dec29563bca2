package sipstatus_test

import (
	"errors"
	"fmt"
	"testing"

	"sipd/server/sipstatus"
)

func TestReason(t *testing.T) {
	tests := []struct {
		code int
		want string
	}{
		{100, "Trying"}, {200, "OK"}, {302, "Moved Temporarily"}, {408, "Request Timeout"}, {487, "Request Terminated"}, {503, "Service Unavailable"}, {603, "Decline"},
		{199, "Trying"}, {299, "OK"}, {399, "Redirection"}, {499, "Request Failure"}, {599, "Server Failure"}, {699, "Global Failure"},
	}
	for _, tt := range tests {
		if got := sipstatus.Reason(tt.code); got != tt.want {
			t.Errorf("Reason(%d): got %q, want %q", tt.code, got, tt.want)
		}
	}
}

func TestError(t *testing.T) {
	cause := errors.New("no such user")
	tests := []struct {
		name              string
		err               sipstatus.Error
		text, phrase      string
		isCause, isStatus bool
	}{
		{"code alone", sipstatus.Error{Code: 404}, "404 Not Found", "Not Found", false, true},
		{"own reason", sipstatus.Error{Code: 403, Reason: "Not Yours"}, "403 Not Yours", "Not Yours", false, true},
		{"cause stays out of the phrase", sipstatus.Error{Code: 404, Err: cause}, "404 Not Found: no such user", "Not Found", true, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wrapped := fmt.Errorf("decide: %w", &tt.err)
			var e *sipstatus.Error
			if got := errors.As(wrapped, &e); got != tt.isStatus || e.Code != tt.err.Code {
				t.Errorf("errors.As: got %v, want %v", got, tt.isStatus)
			}
			if got := errors.Is(wrapped, cause); got != tt.isCause {
				t.Errorf("errors.Is: got %v, want %v", got, tt.isCause)
			}
			if got := e.Error(); got != tt.text {
				t.Errorf("text: got %q, want %q", got, tt.text)
			}
			if got := e.Phrase(); got != tt.phrase {
				t.Errorf("phrase: got %q, want %q", got, tt.phrase)
			}
		})
	}
}
