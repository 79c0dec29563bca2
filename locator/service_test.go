package locator

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestService(t *testing.T) {
	var asked atomic.Pointer[http.Request]
	var elsewhere atomic.Int32
	release := make(chan struct{})
	mux := http.NewServeMux()
	handle := func(path string, do func(w http.ResponseWriter)) {
		mux.HandleFunc(path, func(w http.ResponseWriter, r *http.Request) { asked.Store(r); do(w) })
	}
	handle("/lines", func(w http.ResponseWriter) { io.WriteString(w, "sip:bob@192.0.2.1 0.5\n") })
	handle("/json", func(w http.ResponseWriter) { io.WriteString(w, `{"contacts": [{"uri": "sip:bob@192.0.2.1"}]}`) })
	handle("/nobody", func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) })
	handle("/empty", func(http.ResponseWriter) {})
	handle("/fails", func(w http.ResponseWriter) { w.WriteHeader(500); io.WriteString(w, "sip:bob@192.0.2.1") })
	handle("/moved", func(w http.ResponseWriter) { w.Header().Set("Location", "/elsewhere"); w.WriteHeader(302) })
	handle("/elsewhere", func(http.ResponseWriter) { elsewhere.Add(1) })
	handle("/endless", func(w http.ResponseWriter) {
		for line := []byte(strings.Repeat("#", 1000) + "\n"); ; {
			if _, err := w.Write(line); err != nil {
				return
			}
		}
	})
	handle("/header", func(w http.ResponseWriter) { w.Header().Set("X", strings.Repeat("x", 100_000)) })
	handle("/hangs", func(http.ResponseWriter) { <-release })
	handle("/slow", func(w http.ResponseWriter) { w.WriteHeader(200); w.(http.Flusher).Flush(); <-release })
	handle("/cut", func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", "1000")
		io.WriteString(w, "sip:bob@192.0.2.1\n")
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(release) })
	for _, c := range []struct{ name, path, want string }{
		{"lines", "/lines?key=a%20b", "sip:bob@192.0.2.1=500"},
		{"JSON", "/json", "sip:bob@192.0.2.1=1000"},
		{"nobody", "/nobody", ""},
		{"an empty body", "/empty", ""},
		{"not found", "/none", "locator: no answer: it answered 404; of whom it knows nothing it should say so with 204"},
		{"it fails", "/fails", "locator: no answer: it answered 500"},
		{"elsewhere", "/moved", "locator: no answer: it answered 302"},
		{"without end", "/endless", "locator: no answer: it wrote more than 65536 bytes"},
		{"a header without end", "/header", "...server response headers exceeded 16384 bytes; aborted"},
		{"it hangs", "/hangs", "locator: no answer: not within 200ms"},
		{"the body hangs", "/slow", "locator: no answer: not within 200ms"},
		{"the body ends too early", "/cut", "locator: no answer: unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := locator(t, Config{URL: server.URL + c.path})
			if strings.HasPrefix(c.path, "/hangs") || strings.HasPrefix(c.path, "/slow") {
				l.limit = 200 * time.Millisecond
			}
			if got := answered(l.Ask(t.Context(), Query{AOR: "böb&x=y@example.com", Caller: "alice@example.com", Method: "INVITE"})); got != c.want && (c.path != "/header" || !strings.HasSuffix(got, strings.TrimPrefix(c.want, "..."))) {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
	if elsewhere.Load() != 0 {
		t.Error("a redirection was followed")
	}
	l := locator(t, Config{URL: server.URL + "/lines?key=a%20b&aor=x"})
	for caller, want := range map[string]string{
		"":                  "GET aor=b%C3%B6b%26x%3Dy%40example.com&key=a+b&method=INVITE application/json, text/plain sipd",
		"alice@example.com": "GET aor=b%C3%B6b%26x%3Dy%40example.com&caller=alice%40example.com&key=a+b&method=INVITE application/json, text/plain sipd",
	} {
		if _, err := l.Ask(t.Context(), Query{AOR: "böb&x=y@example.com", Caller: caller, Method: "INVITE"}); err != nil {
			t.Fatal(err)
		}
		r := asked.Load()
		if got := fmt.Sprint(r.Method, " ", r.URL.RawQuery, " ", r.Header.Get("Accept"), " ", r.UserAgent()); got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

// TestServiceGone: the log does not repeat who was asked for inside the URL.
func TestServiceGone(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	var text strings.Builder
	l := locator(t, Config{URL: "http://" + ln.Addr().String() + "/x", Log: slog.New(slog.NewTextHandler(&text, nil))})
	got := answered(l.Ask(t.Context(), bob))
	if !strings.HasSuffix(got, "connection refused") || strings.Contains(got, "bob") {
		t.Errorf("got %s, want that the connection was refused, and nothing of the question", got)
	}
}

// TestServiceProxy: variables of the environment lead nobody's question elsewhere.
func TestServiceProxy(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://192.0.2.1:1")
	t.Setenv("http_proxy", "http://192.0.2.1:1")
	l := locator(t, Config{URL: "http://locator.example.com/"})
	if tr := l.source.(*service).client.Transport.(*http.Transport); tr.Proxy != nil {
		t.Error("a proxy is asked")
	}
}
