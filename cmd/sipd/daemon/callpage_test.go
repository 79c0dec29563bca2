package daemon

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"sipd/server/calltrace"
)

// callsMux is the page of a server that has had one call, of each Call-ID that begins with "known".
func callsMux() http.Handler {
	h := &health{calls: func(id string) []calltrace.Call {
		if strings.HasPrefix(id, "known") {
			return []calltrace.Call{{CallID: id, Decision: "proxy", Final: 200}}
		}
		return nil
	}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls/{id}", h.serveCalls)
	return mux
}

// TestCallsPage: who asks by an address gets what there is; a name could be a stranger's for 127.0.0.1.
func TestCallsPage(t *testing.T) {
	for _, tt := range []struct {
		name, method, host, path string
		want                     int
		body                     string
	}{
		{"a call", "GET", "127.0.0.1:8060", "/calls/known", 200, `{"calls":[{`},
		{"by IPv6", "GET", "[::1]:8060", "/calls/known", 200, `"final_status":200`},
		{"without a port", "GET", "::1", "/calls/known", 200, ""},
		{"the name of this machine", "GET", "localhost:8060", "/calls/known", 200, ""},
		{"escaped", "GET", "127.0.0.1", "/calls/known%2F%2E%2E%2F%3Cb%3E", 200, `"call_id":"known/../\u003cb\u003e"`},
		{"another call", "GET", "127.0.0.1", "/calls/other", 404, `{"calls":[]}`},
		{"a stranger's name", "GET", "evil.example:8060", "/calls/known", 403, "ask by address"},
		{"no name", "GET", "", "/calls/known", 403, ""},
		{"a long Call-ID", "GET", "127.0.0.1", "/calls/known" + strings.Repeat("x", 2048), 400, "too long"},
		{"nothing to change", "POST", "127.0.0.1", "/calls/known", 405, ""},
		{"none", "GET", "127.0.0.1", "/calls/", 404, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			req := httptest.NewRequest(tt.method, tt.path, nil)
			req.Host = tt.host
			w := httptest.NewRecorder()
			callsMux().ServeHTTP(w, req)
			if w.Code != tt.want || !strings.Contains(w.Body.String(), tt.body) {
				t.Errorf("got %d %q, want %d %q", w.Code, w.Body, tt.want, tt.body)
			}
			if w.Code == 200 && (w.Header().Get("Content-Type") != "application/json" || !json.Valid(w.Body.Bytes())) {
				t.Errorf("got %v %q, want JSON", w.Header(), w.Body)
			}
		})
	}
}

// TestCalls asks servers of several kinds.
func TestCalls(t *testing.T) {
	answer := func(status int, body string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			io.WriteString(w, body)
		})
	}
	for _, tt := range []struct {
		name    string
		handler http.Handler
		id      string
		want    string // the error
	}{
		{"a call", callsMux(), "known", ""},
		{"any characters", callsMux(), "known/../%2e?#\x01\xff@[::1]", ""},
		{"not there", callsMux(), "other", ErrNoCall.Error()},
		{"too long", callsMux(), strings.Repeat("x", 2049), "1 to 2048 characters"},
		{"none", callsMux(), "", "1 to 2048 characters"},
		{"no sipd", answer(200, "<html>"), "known", "does not answer as a sipd"},
		{"a sipd without the page", answer(404, "404 page not found\n"), "known", "does not answer as a sipd"},
		{"an error", answer(500, "broken\n"), "known", "500 Internal Server Error: broken"},
		{"without an end", answer(200, `{"calls":[`+strings.Repeat(" ", maxCallsPage)+"]}"), "known", "does not answer as a sipd"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			list, err := Calls(t.Context(), strings.TrimPrefix(srv.URL, "http://"), "", tt.id)
			switch {
			case tt.want == "":
				if want := strings.ToValidUTF8(tt.id, "\ufffd"); err != nil || len(list) != 1 || list[0].CallID != want {
					t.Errorf("got %+v, %v, want the call %q", list, err, want)
				}
			case err == nil || !strings.Contains(err.Error(), tt.want):
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
	if _, err := Calls(t.Context(), "off", "", "1"); !errors.Is(err, ErrConfig) {
		t.Errorf("got %v, want an error of the settings", err)
	}
}
