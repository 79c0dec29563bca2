package daemon

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"sipd/config"
	"sipd/resolve"
	"sipd/server/certs"
	"sipd/server/gateway"
	"sipd/server/proxy"
	"sipd/server/transport"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// TestStatusText: the parts of the state are written on the page and in the log in the same words.
func TestStatusText(t *testing.T) {
	st := status{
		DownHops: downHops([]proxy.Down{{
			Hop:    transport.Flow{Proto: transport.TLS, Remote: netip.MustParseAddrPort("[2001:db8::1]:5061")},
			Domain: "example.net", Reason: "no answer", Since: noon, Until: noon.Add(time.Minute),
		}}),
		Resolver: resolverStateOf(resolve.Status{
			Servers: []resolve.ServerStatus{{Addr: netip.MustParseAddrPort("192.0.2.53:53"), Answered: 7, Failed: 2, Silent: true, Err: errors.New("no answer in time"), At: noon},
				{Addr: netip.MustParseAddrPort("192.0.2.54:53")}},
			LookUps: 1, Queued: 2, Waiting: 3, Refused: 4, Entries: 5, Bytes: 6,
		}),
		Certificate: certificateStateOf(certs.Status{Names: []string{"example.com"}, NotAfter: noon, DaysLeft: 13.97, Err: errors.New("bad pair"), Since: noon}),
		Gateways: gatewayStates([]gateway.Status{
			{ID: 3, Name: "gw1", URI: "sip:192.0.2.1", Condition: gateway.Down, Reason: "OPTIONS: no answer", Since: noon, Calls: 2, MaxCalls: 30,
				Probe: 30 * time.Second, Answered: noon, Latency: 1234567 * time.Nanosecond},
			{ID: 4, Name: "gw2", URI: "sip:192.0.2.2", Since: noon},
		}),
	}
	want := map[string]string{
		"down_hops": `[{"hop":"tls:[2001:db8::1]:5061","domain":"example.net","reason":"no answer","since":"2026-11-20T12:00:00Z","until":"2026-11-20T12:01:00Z"}]`,
		"resolver": `{"servers":[{"addr":"192.0.2.53:53","answered":7,"failed":2,"silent":true,"last_err":"no answer in time","last_err_at":"2026-11-20T12:00:00Z"},` +
			`{"addr":"192.0.2.54:53","answered":0,"failed":0,"silent":false}],"look_ups":1,"queued":2,"waiting":3,"refused":4,"cache_entries":5,"cache_bytes":6}`,
		"gateways": `[{"id":3,"name":"gw1","uri":"sip:192.0.2.1","state":"down","reason":"OPTIONS: no answer","since":"2026-11-20T12:00:00Z","calls":2,"max_calls":30,` +
			`"probe_s":30,"probe_answer":"2026-11-20T12:00:00Z","probe_latency_ms":1.234},` +
			`{"id":4,"name":"gw2","uri":"sip:192.0.2.2","state":"up","since":"2026-11-20T12:00:00Z","calls":0}]`,
		"certificate": `{"names":["example.com"],"not_after":"2026-11-20T12:00:00Z","days_left":13.9,"err":"bad pair","err_since":"2026-11-20T12:00:00Z"}`,
	}
	page, err := json.Marshal(st)
	if err != nil {
		t.Fatal(err)
	}
	var log, text bytes.Buffer
	slog.New(slog.NewJSONHandler(&log, nil)).LogAttrs(t.Context(), slog.LevelInfo, "state", st.attrs()...)
	slog.New(slog.NewTextHandler(&text, nil)).LogAttrs(t.Context(), slog.LevelInfo, "state", st.attrs()...)
	for name, want := range want {
		for where, got := range map[string]string{"page": string(page), "log": log.String()} {
			if !strings.Contains(got, `"`+name+`":`+want) {
				t.Errorf("%s: got %s, want %s as %s", where, got, name, want)
			}
		}
		if !strings.Contains(strings.ReplaceAll(text.String(), `\"`, `"`), name+`="`+want+`"`) {
			t.Errorf("log as text: got %s, want %s as %s", &text, name, want)
		}
	}
	empty, err := json.Marshal(status{DownHops: downHops(nil), Resolver: resolverStateOf(resolve.Status{})})
	if err != nil || !bytes.Contains(empty, []byte(`"down_hops":[],"resolver":{"servers":[],`)) || !bytes.Contains(empty, []byte(`"certificate":null`)) || bytes.Contains(empty, []byte("gateways")) {
		t.Errorf("got %s and %v, want empty lists, and null without a certificate", empty, err)
	}
	if got := len(downHops(make([]proxy.Down, 5*maxDownHops))); got != maxDownHops {
		t.Errorf("got %d hops on the page, want at most %d", got, maxDownHops)
	}
}

func TestPeerReasons(t *testing.T) {
	down, silent, fine := resolve.ServerStatus{Silent: true, Down: true}, resolve.ServerStatus{Silent: true}, resolve.ServerStatus{}
	for _, c := range []struct {
		name        string
		servers     []resolve.ServerStatus
		certificate *certificateState
		want        []string
	}{
		{"nothing", nil, nil, nil},
		{"all is well", []resolve.ServerStatus{fine}, &certificateState{Names: []string{"a.example"}, DaysLeft: 60}, nil},
		{"one of two name servers", []resolve.ServerStatus{down, fine}, nil, nil},
		{"a question about a slow zone", []resolve.ServerStatus{silent}, nil, nil},
		{"both", []resolve.ServerStatus{down, down}, nil, []string{"no name server answers: other domains are reached from memory, or not"}},
		{"soon", nil, &certificateState{Names: []string{"a.example", "b.example"}, DaysLeft: 13.5}, []string{"the certificate of a.example, b.example ends in 13.5 days"}},
		{"not begun", nil, &certificateState{Names: []string{"a.example"}, DaysLeft: 90, Begins: &noon},
			[]string{"the certificate of a.example is valid from 2026-11-20T12:00:00Z on: peers refuse it; look at this machine's clock"}},
		{"over, and not renewed", nil, &certificateState{Names: []string{"a.example"}, DaysLeft: -0.1, Err: "bad pair"},
			[]string{"the certificate of a.example has ended: peers refuse it", "the certificate is not renewed: bad pair"}},
	} {
		if got := peerReasons(resolve.Status{Servers: c.servers}, c.certificate); !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestSupport(t *testing.T) {
	listen := func(transport, addr string) config.Listen {
		return config.Listen{Transport: transport, Addr: netip.MustParseAddrPort(addr)}
	}
	for _, c := range []struct {
		name   string
		listen []config.Listen
		want   resolve.Support
	}{
		{"nothing", nil, resolve.Support{}},
		{"UDP", []config.Listen{listen("udp", "0.0.0.0:5060")}, resolve.Support{UDP: true, IPv4: true}},
		{"all", []config.Listen{listen("udp", "[::]:5060"), listen("tcp", "192.0.2.1:5060"), listen("tls", "[::]:5061")}, resolve.Support{UDP: true, TCP: true, TLS: true, IPv4: true, IPv6: true}},
	} {
		if got := Support(c.listen); got != c.want {
			t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
		}
	}
}
