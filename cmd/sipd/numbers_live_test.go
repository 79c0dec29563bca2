package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestGatewaysOfARunningServer: the list shows how the server finds them, and says so when it cannot.
func TestGatewaysOfARunningServer(t *testing.T) {
	d := database(t)
	must(t, "gateway", "add", "gw1", "sip:192.0.2.7", "--probe", "-1", "--max-calls", "3", d)
	must(t, "gateway", "add", "gw2", "sip:192.0.2.8", "--probe", "-1", d)
	must(t, "gateway", "drain", "gw2", d)
	admin := "unix:" + filepath.Join(t.TempDir(), "admin.sock")
	r := start(t, d, "--listen", "udp:127.0.0.1:0", "--admin", admin)
	must(t, "gateway", "add", "gw3", "sip:192.0.2.9", "--off", d)
	expect(t, []expectation{
		{"up", []string{"gateway", "list", "--admin", admin, d}, 0, "NOW      CALLS  SINCE"},
		{"drained", []string{"gateway", "list", "--admin", admin, d}, 0, "drained by the administrator"},
		{"none of the server's", []string{"gateway", "list", "--admin", admin, d}, 0, "off      -     -         -      -          1                -        -      -"},
		{"JSON", []string{"gateway", "list", "--json", "--admin", admin, d}, 0, `"state": "up"`},
		{"bad address", []string{"gateway", "list", "--admin", "8060", d}, 2, "--admin: "},
	})
	r.stop()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Write([]byte(`{"gateways":[{"id":1,"name":"gw1","uri":"sip:198.51.100.1","state":"down"}]}`))
	}))
	defer other.Close()
	for _, tt := range []struct{ name, admin, want string }{
		{"the server is gone", admin, "no server answers at"},
		{"it says nothing", silent.Addr().String(), "deadline exceeded"},
		{"it is off", "off", "AdminListen is off"},
		{"it is another one's", other.Listener.Addr().String(), "has none of these"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			begin := time.Now()
			got := call(t, "", "gateway", "list", "--admin", tt.admin, d)
			if took := time.Since(begin); took > patience {
				t.Errorf("it took %v", took)
			}
			if got.code != exitDone || !strings.Contains(got.err, "is not known: ") || !strings.Contains(got.err, tt.want) {
				t.Errorf("got %d and %q, want %q in it", got.code, got.err, tt.want)
			}
			if !strings.Contains(got.out, "sip:192.0.2.7") || strings.Contains(got.out, "NOW") || strings.Contains(got.out, "down") {
				t.Errorf("got %s, want the rows alone", got.out)
			}
		})
	}
}
