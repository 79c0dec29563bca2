package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"sipd/canonicalize"
	"sipd/config"
	"sipd/server/calltrace"
	"sipd/server/target"
)

// callsPage is the answer of /calls/CALL-ID: the calls with that Call-ID among those that are kept, the oldest first.
type callsPage struct {
	Calls []calltrace.Call `json:"calls"`
}

const (
	// maxCallID bounds the Call-ID that is asked for. That of a call may be longer; nobody types it.
	maxCallID = 2048
	// maxCallsPage bounds what is read of the page: 32 calls of a few KB, in JSON.
	maxCallsPage = 4 << 20
	// callsTimeout is how long the server may take.
	callsTimeout = 10 * time.Second
)

// serveCalls answers /calls/CALL-ID: who has called whom. A web page in a browser on this machine, which finds the server by a name that
// it has made up for 127.0.0.1, is turned away: those who may ask write an address.
func (h *health) serveCalls(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	switch {
	case !byAddress(r.Host):
		http.Error(w, "ask by address: http://127.0.0.1:8060/calls/CALL-ID", http.StatusForbidden)
		return
	case len(id) > maxCallID:
		http.Error(w, "the Call-ID is too long", http.StatusBadRequest)
		return
	}
	page := callsPage{Calls: h.calls(id)}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.Header().Set("Cache-Control", "no-store")
	if len(page.Calls) == 0 {
		page.Calls = []calltrace.Call{}
		w.WriteHeader(http.StatusNotFound)
	}
	json.NewEncoder(w).Encode(page)
}

// byAddress tells whether a Host header is an address, or a name that is this machine's everywhere.
func byAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "localhost"
}

// ErrNoCall says that a server keeps no call with a Call-ID.
var ErrNoCall = fmt.Errorf("it is not among the last %d calls", calltrace.Size)

// Calls asks a running server for the calls with a Call-ID. admin is as in AdminListen, root as in Config.
func Calls(ctx context.Context, admin, root, callID string) ([]calltrace.Call, error) {
	if callID == "" || len(callID) > maxCallID {
		return nil, configError{fmt.Errorf("the Call-ID must have 1 to %d characters", maxCallID)}
	}
	// The path is as clean as a path can be, whatever a Call-ID is: no dot or slash of it stands there as such.
	path := strings.ReplaceAll(url.PathEscape(callID), ".", "%2E")
	var page callsPage
	if err := ask(ctx, admin, root, "/calls/"+path, callsTimeout, maxCallsPage, &page); err != nil {
		return nil, err
	}
	if len(page.Calls) == 0 {
		return nil, ErrNoCall
	}
	return page.Calls, nil
}

const (
	// maxStatusPage bounds what is read of /status: the names of gateways, next hops and certificates are the most of it.
	maxStatusPage = 1 << 20
	// statusTimeout is how long the server may take: whoever asks has a table of rows to look at meanwhile.
	statusTimeout = time.Second
)

// Status asks a running server for /status, and reads of it what page has fields for. admin is as in AdminListen, root as in Config.
func Status(ctx context.Context, admin, root string, page any) error {
	return ask(ctx, admin, root, "/status", statusTimeout, maxStatusPage, page)
}

// ask reads a page of a running server into page.
func ask(ctx context.Context, admin, root, path string, timeout time.Duration, limit int64, page any) error {
	network, addr, err := config.ParseAdmin(admin)
	switch {
	case err != nil:
		return configError{err}
	case network == "":
		return configError{errors.New("AdminListen is off: the server cannot be asked")}
	case network == "unix":
		addr = below(root, addr)
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, network, addr)
	}}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, nil)
	if err != nil {
		return err
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return fmt.Errorf("no server answers at %s: %w", admin, err)
	}
	defer resp.Body.Close()
	body := io.LimitReader(resp.Body, limit)
	switch resp.StatusCode {
	case http.StatusOK, http.StatusNotFound:
	default:
		text, _ := io.ReadAll(io.LimitReader(body, 200))
		return fmt.Errorf("%s answers %s: %s", admin, resp.Status, strings.TrimSpace(string(text)))
	}
	if err := json.NewDecoder(body).Decode(page); err != nil {
		return fmt.Errorf("%s does not answer as a sipd that has this page: %w", admin, err)
	}
	return nil
}

// MachineNames reads the mail aliases and full names of the machine, as a server would, for a command.
func MachineNames(args canonicalize.Arguments) target.Names {
	m := machineNames{log: slog.New(slog.DiscardHandler)}
	m.look(args)
	return m.names()
}
