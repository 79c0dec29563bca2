package server_test

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sipd/config"
	"sipd/digest"
	"sipd/internal/siptest"
	"sipd/internal/siptest/flow"
	"sipd/location"
	"sipd/resolve"
	"sipd/server"
	"sipd/server/calltrace"
	"sipd/server/transport"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
)

// TestFlows plays every call flow of testdata against a whole server in virtual time (docs/flows.md).
func TestFlows(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.flow"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no flows in testdata (%v)", err)
	}
	failed := 0
	for _, file := range files {
		name, title, verdict := strings.TrimSuffix(filepath.Base(file), ".flow"), "", "ok"
		if !t.Run(name, func(t *testing.T) {
			f, err := flow.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			title = f.Title
			siptest.Run(t, f, startServer)
		}) {
			failed++
			verdict = "FAIL"
		}
		if *listFlows {
			fmt.Printf("%-4s  %-45s  %s\n", verdict, name, title)
		}
	}
	if *listFlows {
		fmt.Printf("%d flows, %d failed\n", len(files), failed)
	}
}

// listFlows is what `make flows` sets.
var listFlows = flag.Bool("flows", false, "print each flow with its clauses")

// TestFlowOfTheManual plays the example of docs/flows.md.
func TestFlowOfTheManual(t *testing.T) {
	page := filepath.Join("..", "docs", "flows.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.SplitN(string(text), "```\n", 3)
	if len(parts) != 3 {
		t.Fatalf("%s has no example", page)
	}
	f, err := flow.Parse(page, parts[1])
	if err != nil {
		t.Fatal(err)
	}
	siptest.Run(t, f, startServer)
}

// startServer brings up a server with the tables that a flow names: the real cache and location service over the store in
// memory.
func startServer(t *testing.T, n *siptest.Net, f *flow.Flow) *siptest.System {
	return startFaulty(t, n, f, nil, 0)
}

// startFaulty is startServer with a request log that calls fault first, and the number of panics that there must be.
func startFaulty(t *testing.T, n *siptest.Net, f *flow.Flow, fault func(store.LogRow), panics int64) *siptest.System {
	t.Helper()
	mem := storetest.New()
	fill(t, mem, f)
	log := &rows{t: t, got: make(chan store.LogRow, maxRows), fault: fault}
	now := boot(t, n, f, mem, log)
	all := []*process{now}
	return &siptest.System{
		Transactions: func() (int, int) {
			st := now.server.Status()
			if n := now.server.Gateways().OnTheWay(); n != 0 && st.ServerTransactions+st.ClientTransactions == 0 {
				t.Errorf("%d calls are on their way to gateways without a transaction", n)
			}
			return st.ServerTransactions, st.ClientTransactions
		},
		Log: log.take,
		Restart: func() {
			now.die()
			now = boot(t, n, f, mem, log)
			all = append(all, now)
		},
		Stop: func() {
			for _, p := range all {
				if got := p.server.Status().Panics; got != panics {
					t.Errorf("got %d panics, want %d", got, panics)
				}
				p.stop(t)
			}
		},
	}
}

// asker is who a server under test asks what no table says, nil for nobody.
var asker server.Asker

// calls is where the last server under test keeps its calls.
var calls *calltrace.Ring

// process is a server and its location service.
type process struct {
	server                   *server.Server
	stopServer, stopLocation context.CancelFunc
	served, located          chan error
	resolver                 *resolve.Resolver
	dead                     atomic.Bool // its rows are not written any more
}

// die ends what would still write into the store. The rest of the process is cut off from the network and can do nothing.
func (p *process) die() {
	p.dead.Store(true)
	p.resolver.Close()
	p.stopLocation()
}

func (p *process) stop(t *testing.T) {
	t.Helper()
	p.stopServer()
	if err := <-p.served; err != nil {
		t.Errorf("server.Run: %v", err)
	}
	p.resolver.Close()
	p.stopLocation()
	<-p.located
}

// boot starts a process over a store. It must not panic.
func boot(t *testing.T, n *siptest.Net, f *flow.Flow, mem *storetest.Mem, log *rows) *process {
	t.Helper()
	set := map[string][]string{"ServerName": {"sip.example.org"}, "PrivateKey": {"a key for tests that nobody else has"}}
	if slices.Contains(f.Listens, "tls") {
		set["TLSCertificate"], set["TLSKey"] = []string{"certificate.pem"}, []string{"key.pem"}
	}
	if f.Locator.Used {
		set["Locator"] = []string{"exec:/bin/false"} // Never run: asks stands for it.
	}
	for _, s := range f.Settings {
		set[s.Name] = append(set[s.Name], s.Value)
	}
	var values []config.Value
	for name, list := range set {
		for _, v := range list {
			values = append(values, config.Value{Source: f.File, Name: name, Args: []string{v}})
		}
	}
	ctx := context.WithoutCancel(t.Context())
	tables, err := cache.New(cache.Config{Store: mem, Overrides: [][]config.Value{values}})
	if err != nil {
		t.Fatal(err)
	}
	if err := tables.Refresh(ctx); err != nil {
		t.Fatal(err)
	}
	p := &process{served: make(chan error, 1), located: make(chan error, 1)}
	loc, err := location.New(location.Config{Store: mem, Flush: func() { p.server.Flush() }})
	if err != nil {
		t.Fatal(err)
	}
	if err := loc.Load(ctx); err != nil {
		t.Fatal(err)
	}
	write := func(row store.LogRow) {
		if !p.dead.Load() {
			log.add(row)
		}
	}
	if tables.Snapshot().Settings.RequestLog == "none" {
		write = nil
	}
	p.resolver = resolve.New(resolve.Config{Servers: []netip.AddrPort{siptest.NameServerAddr}, Support: support(n), Exchange: n.Names.Exchange})
	asks := asker
	if asks == nil {
		asks = flowAsker(f, tables.Snapshot().Settings, p.resolver)
	}
	calls = calltrace.New()
	p.server, err = server.New(server.Config{
		Net: n, Tables: tables.Snapshot, Location: loc, RequestLog: write, Log: slog.New(slog.DiscardHandler),
		Resolver: p.resolver, Domains: &n.Domains, Draw: func(int) int { return 0 }, Asker: asks, Calls: calls,
	})
	if err != nil {
		t.Fatal(err)
	}
	serve, stopServer := context.WithCancel(ctx)
	locate, stopLocation := context.WithCancel(ctx)
	p.stopServer, p.stopLocation = stopServer, stopLocation
	go func() { p.served <- p.server.Run(serve) }()
	go func() { p.located <- loc.Run(locate) }()
	return p
}

// support is what a server on n can send by.
func support(n *siptest.Net) (have resolve.Support) {
	for _, to := range []netip.Addr{netip.IPv4Unspecified(), netip.IPv6Unspecified()} {
		for p, can := range map[transport.Proto]*bool{transport.UDP: &have.UDP, transport.TCP: &have.TCP, transport.TLS: &have.TLS} {
			if _, ok := n.Source(p, to); ok {
				*can = true
				have.IPv4, have.IPv6 = have.IPv4 || to.Is4(), have.IPv6 || to.Is6()
			}
		}
	}
	return have
}

// fill writes the domains, users, aliases and bindings of a flow into the store.
func fill(t *testing.T, mem *storetest.Mem, f *flow.Flow) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context())
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range append([]string{flow.Domain}, f.Domains...) {
		must(mem.AddDomain(ctx, &store.Domain{Name: name}))
	}
	classes := addClasses(t, mem, f)
	ids := map[string]int64{}
	for _, u := range f.Users {
		key := sipaddr.AOR(u.AOR)
		row := store.User{Key: key, Realm: key.Host(), Disabled: u.Disabled,
			AuthPolicy: map[string]store.AuthPolicy{"never": store.Never, "requested": store.Requested, "required": store.Required}[u.Policy]}
		if u.Redirect {
			row.DefaultAction = store.Redirect
		}
		row.GatewayClassID = classes[u.Class]
		var creds []store.Credential
		for _, name := range []string{key.User(), u.AOR} {
			for alg, hash := range map[store.Algorithm]digest.Algorithm{store.MD5: digest.MD5, store.SHA256: digest.SHA256} {
				creds = append(creds, store.Credential{Username: name, Realm: row.Realm, Algorithm: alg,
					HA1: digest.HA1(hash, name, row.Realm, u.Password)})
			}
		}
		must(mem.AddUser(ctx, &row, creds))
		ids[u.AOR] = row.ID
	}
	for _, a := range f.Aliases {
		row := store.Alias{Alias: a.Alias, PrimaryUser: sipaddr.AOR(a.AOR)}
		if a.Group {
			row.Kind = store.Group
		}
		var err error
		row.RingMode, err = store.ParseRingMode(a.Ring)
		must(err)
		row.Delay = a.Delay
		must(mem.AddAlias(ctx, &row))
	}
	addNumbers(t, mem, f, classes)
	for _, p := range f.ThirdParties {
		_, err := mem.AddThirdParty(ctx, sipaddr.AOR(p.User), sipaddr.AOR(p.Registrant))
		must(err)
	}
	for _, p := range f.Trusted {
		must(mem.AddTrustedPeer(ctx, &store.TrustedPeer{SourceNets: p.Nets, TLSName: p.Name, MayAssertIdentity: p.Asserts}))
	}
	for i, p := range f.Peers {
		b := p.Bound
		if b == nil {
			continue
		}
		user, ok := ids[b.AOR]
		if !ok {
			t.Fatalf("%s: %s is bound to %s, which no user line names", f.File, p.Name, b.AOR)
		}
		row := &location.Binding{ID: int64(i + 1), UserID: user, URI: b.URI, Q: b.Milli, CallID: "bound-" + p.Name, CSeq: 1,
			Source: p.Addr, Proto: uint8(p.Proto), Updated: location.At(time.Now()), InstanceID: b.Instance,
			Action: map[string]uint8{"": uint8(store.NoAction), "proxy": uint8(store.Proxy), "redirect": uint8(store.Redirect)}[b.Action]}
		if b.Static { // Written by hand: nobody knows a source.
			row.Source, row.Proto, row.CallID, row.CSeq = netip.AddrPort{}, 0, "", 0
		} else {
			row.Expires = location.At(time.Now().Add(b.Expires))
		}
		errs, err := mem.Commit(ctx, []location.RowSet{{AOR: sipaddr.AOR(b.AOR), UserID: user, Upsert: []*location.Binding{row}}})
		must(err)
		for _, err := range errs {
			must(err)
		}
	}
}

// rows collects the request log. The server's goroutines are the bubble's, which the runner lets come to rest before it reads.
type rows struct {
	t     *testing.T
	got   chan store.LogRow
	fault func(store.LogRow)
}

// maxRows is more than any flow logs.
const maxRows = 1000

// add takes a row, whose time and duration say when the request came and that it ended now.
func (r *rows) add(row store.LogRow) {
	if ended := row.Time.Add(row.Duration); !ended.Equal(time.Now()) || row.Duration < 0 {
		r.t.Errorf("the row %s %d says that it began at %v and took %v, want its end at %v", row.Method, row.Status, row.Time, row.Duration, time.Now())
	}
	if r.fault != nil {
		r.fault(row)
	}
	r.got <- row
}

func (r *rows) take() (list []siptest.LogRow) {
	for {
		select {
		case row := <-r.got:
			list = append(list, siptest.LogRow{Method: row.Method, Status: row.Status, Fields: map[string]string{
				"url": row.RequestURL, "from": row.From, "to": row.To, "user": row.AuthUser, "source": row.Source, "next": row.NextHop, "to_tag": row.ToTag}})
		default:
			return list
		}
	}
}
