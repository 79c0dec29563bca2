package registrar_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"sipd/config"
	"sipd/location"
	"sipd/server/message"
	"sipd/server/registrar"
	"sipd/server/transport"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/storetest"
	"sipd/trace"
)

// office is a registrar with its location service over a store in memory.
type office struct {
	t     *testing.T
	mem   *storetest.Mem
	s     *cache.Snapshot
	loc   *location.Service
	from  transport.Flow
	creds registrar.Verdict
	cseq  int
}

func newOffice(t *testing.T) *office {
	t.Helper()
	ctx := t.Context()
	o := &office{t: t, mem: storetest.New(), creds: registrar.Authenticated,
		from: transport.Flow{Remote: netip.MustParseAddrPort("192.0.2.201:5060"), Local: netip.MustParseAddrPort("192.0.2.200:5060")}}
	bob := store.User{Key: "bob@biloxi.example.com", Realm: "atlanta.example.com"}
	if err := o.mem.AddUser(ctx, &bob, nil); err != nil {
		t.Fatal(err)
	}
	var err error
	o.s, err = cache.Build(store.Tables{Users: []store.User{bob}, Domains: []store.Domain{{ID: 1, Name: "biloxi.example.com", Realm: "atlanta.example.com"}, {ID: 2, Name: "ss2.biloxi.example.com", Canonical: "biloxi.example.com"}}},
		&config.Settings{Expires: time.Hour, MinExpires: time.Minute, MaxExpires: 2 * time.Hour, MaxContacts: 3})
	if err != nil {
		t.Fatal(err)
	}
	o.start()
	return o
}

// start runs a location service on what the store has, until the test ends.
func (o *office) start() {
	o.t.Helper()
	var err error
	if o.loc, err = location.New(location.Config{Store: o.mem, Log: slog.New(slog.DiscardHandler)}); err != nil {
		o.t.Fatal(err)
	}
	if err := o.loc.Load(o.t.Context()); err != nil {
		o.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { o.loc.Run(ctx); close(ended) }()
	o.t.Cleanup(func() { cancel(); <-ended })
}

// register sends Bob's REGISTER with these lines and returns the status line's code and the Contact, Path, Require and
// Min-Expires lines of the answer.
func (o *office) register(lines ...string) string {
	o.t.Helper()
	o.cseq++
	raw := "REGISTER sips:ss2.biloxi.example.com SIP/2.0\r\nVia: SIP/2.0/TLS client.biloxi.example.com:5061;branch=z9hG4bKnashds7\r\nMax-Forwards: 70\r\n" +
		"From: Bob <sips:bob@biloxi.example.com>;tag=a73kszlfl\r\nTo: Bob <sips:bob@biloxi.example.com>\r\nCall-ID: 1j9FpLxk3uxtm8tn@biloxi.example.com\r\n" +
		fmt.Sprintf("CSeq: %d REGISTER\r\n", o.cseq) + strings.Join(append(lines, "Content-Length: 0\r\n\r\n"), "\r\n")
	m := new(message.Message)
	if err := m.Index([]byte(raw)); err != nil {
		o.t.Fatalf("%v in\n%s", err, raw)
	}
	now := time.Now()
	in := registrar.Input{Tables: o.s, Request: m, From: o.from, Verdict: o.creds, User: o.s.User([]byte("bob@biloxi.example.com")), Now: now, Trace: new(trace.Trace)}
	if o.creds != registrar.Authenticated {
		in.User = cache.User{}
	}
	answer := func(a registrar.Answer) []byte {
		return message.AppendResponse(nil, m, a.Status, a.Reason, []byte("tag"), a.Fields, nil)
	}
	var resp []byte
	switch out := registrar.Decide(&in).(type) {
	case registrar.Challenge:
		return "401"
	case registrar.Answer:
		resp = answer(out)
	case registrar.Fetch:
		resp = registrar.AppendOK(nil, m, []byte("tag"), o.loc.Bindings([]byte(out.AOR)), false, now)
	case registrar.Update:
		done := make(chan location.Result, 1)
		out.Change.Done = func(r location.Result) { done <- r }
		if err := o.loc.Submit(out.Change); err != nil {
			resp = answer(registrar.Failure(err, now))
		} else if r := <-done; r.Err != nil {
			resp = answer(registrar.Failure(r.Err, now))
		} else {
			resp = registrar.AppendOK(nil, m, []byte("tag"), r.Bindings, out.Outbound, now)
		}
	}
	return o.read(resp)
}

// read checks an answer and returns what register promises.
func (o *office) read(resp []byte) string {
	o.t.Helper()
	m := new(message.Message)
	if err := m.Index(resp); err != nil {
		o.t.Fatalf("%v in\n%s", err, resp)
	}
	got := []string{fmt.Sprint(m.Status())}
	for _, h := range m.Headers() {
		switch name := string(m.HeaderName(h)); name {
		case "Contact":
			got = append(got, string(m.HeaderValue(h)))
		case "Path", "Require", "Min-Expires", "Retry-After":
			got = append(got, name+": "+string(m.HeaderValue(h)))
		}
	}
	if m.Status() == 200 {
		if want := time.Now().UTC().Format("Mon, 02 Jan 2006 15:04:05") + " GMT"; string(m.Value(message.Date)) != want {
			o.t.Errorf("got Date %s, want %s", m.Value(message.Date), want)
		}
		if !m.HasToken(message.Supported, "path") {
			o.t.Error("the 200 does not say that path is supported")
		}
	}
	if m.Has(message.RecordRoute) || m.Status() >= 600 {
		o.t.Errorf("a registrar must not answer\n%s", resp)
	}
	return strings.Join(got, "\n")
}

func (o *office) want(step, got string, want ...string) {
	o.t.Helper()
	if w := strings.Join(want, "\n"); got != w {
		o.t.Errorf("%s: got\n%s\nwant\n%s", step, got, w)
	}
}

// The registration flows of RFC 3665 2.
func TestRFC3665(t *testing.T) {
	const bob = "Contact: <sips:bob@client.biloxi.example.com>"
	t.Run("2.1 Successful New Registration", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t)
			o.from.Proto = transport.TLS
			o.creds = registrar.NoCredentials
			o.want("F2", o.register(bob), "401")
			o.creds = registrar.Authenticated
			o.want("F4", o.register(bob), "200", "<sips:bob@client.biloxi.example.com>;expires=3600")
		})
	})
	t.Run("2.2 to 2.4 Update, Request and Cancellation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t)
			o.from.Proto = transport.TLS
			o.register(bob)
			time.Sleep(time.Second)
			// The RFC adds mailto:bob@biloxi.example.com here; we take sip, sips and tel only.
			both := []string{"200", "<tel:+12155550000>;expires=7200", "<sips:bob@client.biloxi.example.com>;expires=3599"}
			o.want("2.2 F2", o.register("Contact: tel:+12155550000;expires=4294967295"), both...)
			o.want("2.3 F2", o.register(), both...)
			o.want("2.4 F2", o.register("Expires: 0", "Contact: *"), "200")
			o.want("nothing is left", o.register(), "200")
		})
	})
	t.Run("2.5 Unsuccessful Registration", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			o := newOffice(t)
			o.creds = registrar.NoCredentials
			o.want("F2", o.register(bob), "401")
			o.creds = registrar.BadCredentials
			o.want("F4", o.register(bob), "401")
			o.creds = registrar.Authenticated
			o.want("nothing was bound", o.register(), "200")
		})
	})
}

// A day of a phone: what expires, what is refused and what fails leaves the bindings as they were.
func TestLifeOfABinding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.want("registered", o.register(`Contact: "Bob \"B\"" <sip:bob@192.0.2.201>;q=0.25;methods="INVITE,ACK";+sip.instance="<urn:uuid:1>";action=proxy;expires=90`),
			"200", `"Bob \"B\"" <sip:bob@192.0.2.201>;expires=90;q=0.25;+sip.instance="<urn:uuid:1>";methods="INVITE,ACK";action=proxy`)
		time.Sleep(500 * time.Millisecond)
		o.want("423 changes nothing", o.register("Contact: <sip:bob@192.0.2.202>;expires=59"), "423", "Min-Expires: 60")
		o.cseq -= 2
		o.want("out of order", o.register(`Contact: <sip:bob@192.0.2.201>;+sip.instance="<urn:uuid:1>"`), "500")
		o.cseq += 2
		o.want("too many", o.register("Contact: <sip:b@192.0.2.1>,<sip:b@192.0.2.2>,<sip:b@192.0.2.3>,<sip:b@192.0.2.4>"), "403")
		o.mem.Fail(errors.New("disk full"))
		if got := o.register("Contact: <sip:bob@192.0.2.202>"); got != "500" {
			t.Errorf("store fails: got %s, want 500", got)
		}
		if got := o.register("Contact: <sip:bob@192.0.2.202>"); !strings.HasPrefix(got, "503\nRetry-After: ") {
			t.Errorf("store is away: got %s, want 503 with Retry-After", got)
		}
		o.mem.Fail(nil)
		time.Sleep(2 * time.Second)
		left := `"Bob \"B\"" <sip:bob@192.0.2.201>;expires=88;q=0.25;+sip.instance="<urn:uuid:1>";methods="INVITE,ACK";action=proxy`
		o.want("still there", o.register(), "200", left)
		o.start() // as after a restart
		o.want("after a restart", o.register(), "200", left)
		o.want("refreshed from another address", o.register(`Contact: <sip:bob@192.0.2.205>;+sip.instance="<urn:uuid:1>"`), "200", `<sip:bob@192.0.2.205>;expires=3600;+sip.instance="<urn:uuid:1>"`)
		time.Sleep(time.Hour)
		o.want("expired", o.register(), "200")
	})
}

func TestPathAndOutboundInTheAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOffice(t)
		o.from.Proto, o.from.Conn = transport.TCP, 3
		o.want("path", o.register("Contact: <sip:bob@192.0.2.201>;expires=60", "Path: <sip:p3.example.com;lr>,<sip:p1.example.com;lr>", "Path: <sip:p0.example.com;lr>", "Supported: path", "Record-Route: <sip:p3.example.com;lr>"),
			"200", "<sip:bob@192.0.2.201>;expires=60", "Path: <sip:p3.example.com;lr>, <sip:p1.example.com;lr>, <sip:p0.example.com;lr>")
		o.want("outbound", o.register("Contact: *", "Expires: 0"), "200")
		o.want("outbound", o.register(`Contact: <sip:bob@192.0.2.201>;expires=60;+sip.instance="<urn:uuid:1>";reg-id=2`, "Supported: path, outbound"),
			"200", `<sip:bob@192.0.2.201>;expires=60;+sip.instance="<urn:uuid:1>";reg-id=2`, "Require: outbound")
	})
}

// Static contacts are shown, without end.
func TestStaticShown(t *testing.T) {
	m := request(t, toAlice)
	got := string(registrar.AppendOK(nil, m, []byte("tag"), []*location.Binding{
		{URI: "sip:alice@192.0.2.1", Q: 1000, Action: uint8(store.Redirect)}, {URI: "sip:old@192.0.2.1", Q: 1000, Expires: location.At(t0)},
	}, false, t0))
	if !strings.Contains(got, "Contact: <sip:alice@192.0.2.1>;expires=4294967295;action=redirect\r\n") || strings.Contains(got, "old") {
		t.Errorf("got\n%s", got)
	}
	if !strings.Contains(got, "To: <sip:alice@example.com>;tag=tag\r\n") {
		t.Errorf("no To tag in\n%s", got)
	}
}

// As many bindings as a user can have are listed, whatever room they need.
func TestManyInTheAnswer(t *testing.T) {
	var list []*location.Binding
	for i := range 64 {
		list = append(list, &location.Binding{URI: fmt.Sprintf("sip:alice@192.0.2.%d;x=%s", i, strings.Repeat("y", 200)), Q: i, Expires: location.At(t0.Add(time.Hour))})
	}
	m := new(message.Message)
	if err := m.Index(registrar.AppendOK(nil, request(t, toAlice), nil, list, false, t0)); err != nil {
		t.Fatal(err)
	}
	i := 0
	for v := m.Values(message.Contact); ; i++ {
		text, ok := v.Next()
		if !ok {
			break
		}
		a, err := message.ParseAddress(text)
		if err != nil || string(a.URI.Text) != list[i].URI {
			t.Errorf("contact %d: got %s, %v", i, text, err)
		}
	}
	if i != len(list) {
		t.Errorf("got %d contacts, want %d", i, len(list))
	}
}

func TestFailure(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want string
	}{
		{location.ErrOutOfOrder, "500 CSeq Not Higher Than The Binding's"}, {location.ErrTooMany, "403 Too Many Contacts"},
		{location.ErrBusy, "503 Retry-After: 5"}, {fmt.Errorf("x: %w", location.ErrAway), "503 Retry-After: 5"},
		{location.ErrNotCommitted, "500"}, {location.ErrUnknownOutcome, "500"}, {errors.New("other"), "500"},
	} {
		if got := show(registrar.Failure(tt.err, time.UnixMicro(6*1000))); got != tt.want {
			t.Errorf("%v: got %s, want %s", tt.err, got, tt.want)
		}
	}
	waits := map[string]bool{}
	for i := range 100 {
		waits[show(registrar.Failure(location.ErrBusy, time.UnixMicro(int64(i))))] = true
	}
	if len(waits) != 6 {
		t.Errorf("got %d different Retry-After, want 6: clients must not come back all at once", len(waits))
	}
}

// Whatever stands in Contact, Expires, Path and Supported: no panic, and what is taken is stored and shown in a form that we ourselves can read.
func FuzzContacts(f *testing.F) {
	f.Add("<sip:a@192.0.2.1>;q=0.5;expires=60", "3600", "<sip:p;lr>")
	f.Add(`"A" <sips:a@[2001:db8::1]:5061;ob?x=y>;+sip.instance="<urn:uuid:1>";reg-id=1, <tel:+1>`, "0", "")
	f.Add("*", "0", "")
	f.Add(`"\"\\" <sip:%00@h>;methods="A,B";action=redirect`, "x", "sip:p")
	f.Add(`<sip:a@192.0.2.1>;methods="A,\"B", <sip:b@192.0.2.1>;methods=A\`, "60", "")
	s := snapshot(f)
	f.Fuzz(func(t *testing.T, contact, expires, path string) {
		raw := "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9;branch=z9hG4bK1\r\nMax-Forwards: 70\r\nFrom: <sip:alice@example.com>;tag=1\r\n" +
			"To: <sip:alice@example.com>\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\nSupported: path, outbound\r\nContact: " + contact + "\r\nExpires: " + expires + "\r\n"
		if path != "" {
			raw += "Path: " + path + "\r\n"
		}
		m := new(message.Message)
		if m.Index([]byte(raw+"Content-Length: 0\r\n\r\n")) != nil {
			return
		}
		in := input(s, m, "alice@example.com")
		in.From.Proto = transport.TCP
		up, ok := registrar.Decide(in).(registrar.Update)
		if !ok {
			return
		}
		for _, b := range up.Change.Set {
			if b.Static() {
				t.Fatalf("a REGISTER made a static contact: %+v", b)
			}
			b.Expires = location.At(t0.Add(time.Hour))
		}
		ok200 := registrar.AppendOK(nil, m, []byte("tag"), up.Change.Set, up.Outbound, t0)
		var back message.Message
		if err := back.Index(ok200); err != nil {
			t.Fatalf("%v in our answer\n%q", err, ok200)
		}
		v := back.Values(message.Contact)
		for _, b := range up.Change.Set {
			text, _ := v.Next()
			a, err := message.ParseAddress(text)
			if err != nil || string(a.URI.Text) != b.URI {
				t.Fatalf("stored %q, shown as %q (%v)", b.URI, text, err)
			}
			if id, _ := a.Param("+sip.instance"); string(id) != b.InstanceID {
				t.Fatalf("stored instance %q, shown as %q", b.InstanceID, text)
			}
			if methods, _ := a.Param("methods"); string(methods) != b.Methods {
				t.Fatalf("stored methods %q, shown as %q", b.Methods, text)
			}
		}
	})
}

func BenchmarkDecide(b *testing.B) {
	s := snapshot(b)
	m := request(b, toAlice, contact+`;+sip.instance="<urn:uuid:1>"`, "User-Agent: phone")
	in := input(s, m, "alice@example.com")
	in.Trace = nil
	b.ReportAllocs()
	for b.Loop() {
		if _, ok := registrar.Decide(in).(registrar.Update); !ok {
			b.Fatal("no update")
		}
	}
}

func BenchmarkAppendOK(b *testing.B) {
	m := request(b, toAlice, contact)
	list := []*location.Binding{{URI: "sip:alice@192.0.2.9", Q: 1000, Expires: location.At(t0.Add(time.Hour))}}
	buf := make([]byte, 0, 4096)
	b.ReportAllocs()
	for b.Loop() {
		buf = registrar.AppendOK(buf[:0], m, []byte("tag"), list, false, t0)
	}
}
