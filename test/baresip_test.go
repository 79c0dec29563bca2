package test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// account is what a phone is told about its user.
type account struct{ user, password, domain string }

func (a account) uri() string { return "sip:" + a.user + "@" + a.domain }

// access is the way between a phone and its server.
type access struct {
	transport string // udp, tcp or tls
	server    string // as a URI has it: a name that DNS leads on from, or an address
	ipv6      bool   // for everything, the sound, too
	roots     string // for tls: the file with the authorities that the phone trusts
}

// overUDP is how phones reach a server by default.
var overUDP = access{transport: "udp", server: serverIP}

// own is the address of phone n, as a URI has it.
func (a access) own(n int) string {
	if a.ipv6 {
		return "[" + phoneIP6(n) + "]"
	}
	return phoneIP(n)
}

// family picks by the address family.
func (a access) family(v4, v6 string) string {
	if a.ipv6 {
		return v6
	}
	return v4
}

// phone is what scenarios do with a phone, whatever it is.
type phone interface {
	// registered waits until the phone is.
	registered(t testing.TB)
	// call dials.
	call(t testing.TB, uri string)
	// ringing waits for an incoming call.
	ringing(t testing.TB)
	// answer takes the call that rings.
	answer(t testing.TB)
	// hangUp ends what there is: it refuses, cancels or hangs up.
	hangUp(t testing.TB)
	// talking waits until a call is answered.
	talking(t testing.TB)
	// idle waits until no call is left.
	idle(t testing.TB)
	// heard is the newest recording of what came from the other end.
	heard(t testing.TB) string
	// trace is every SIP message so far.
	trace(t testing.TB) string
	// quit unregisters and ends the phone.
	quit(t testing.TB)
}

// Limits of what a phone on a loaded machine may take.
const (
	phoneStart = 30 * time.Second
	phoneStep  = 20 * time.Second
)

// baresip is a phone by Debian's baresip-core. It is driven by its control socket, JSON in netstrings.
type baresip struct {
	*process
	dir  string
	via  access
	conn net.Conn

	mu     sync.Mutex
	events []string // types of events in order: REGISTER_OK, CALL_INCOMING, ...
	from   int      // events seen by waits
}

// startBaresip starts phone number n of the namespace with a tone as its microphone.
func startBaresip(t testing.TB, ns *namespace, n int, a account, tone float64, via access) *baresip {
	t.Helper()
	need(t, "baresip")
	dir := t.TempDir()
	for _, d := range []string{"rec", "conf"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeTone(t, filepath.Join(dir, "tone.wav"), tone, 60)
	// 1.0.0 has no player for files; sndfile records what passes its filter.
	config := fmt.Sprintf(`sip_listen %[4]s:5070
audio_source aufile,%[2]s/tone.wav
audio_player aubridge,nil
audio_alert aubridge,nil
module_path %[3]s
module g711.so
module aufile.so
module aubridge.so
module sndfile.so
module uuid.so
module_app account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen %[1]s:4444
snd_path %[2]s/rec
call_max_calls 4
`, phoneIP(n), dir, baresipModules(t), via.own(n))
	if via.roots != "" {
		config += "sip_cafile " + via.roots + "\n"
	}
	line := fmt.Sprintf("<%s>;auth_user=%s;auth_pass=%s;outbound=\"sip:%s;transport=%s\";regint=120;answermode=manual;audio_codecs=PCMU/8000/1\n",
		a.uri(), a.user, a.password, via.server, via.transport)
	for name, text := range map[string]string{"config": config, "accounts": line, "contacts": ""} {
		if err := os.WriteFile(filepath.Join(dir, "conf", name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := ns.command("baresip", via.family("-4", "-6"), "-s", "-f", filepath.Join(dir, "conf"))
	cmd.Dir = dir
	b := &baresip{dir: dir, via: via, process: start(t, cmd)}
	eventually(t, phoneStart, "baresip's control socket", func() bool {
		conn, err := ns.dial("tcp", phoneIP(n)+":4444")
		b.conn = conn
		return err == nil
	})
	go b.read()
	t.Cleanup(func() {
		b.conn.Close()
		if t.Failed() {
			t.Logf("baresip of %s: events %v\n%s", a.user, b.list(), tail(b.output()))
		}
	})
	return b
}

// baresipModules finds the folder of its modules, as distributions lay it out.
func baresipModules(t testing.TB) string {
	t.Helper()
	for _, pattern := range []string{"/usr/lib/baresip/modules", "/usr/lib/*/baresip/modules", "/usr/local/lib/baresip/modules"} {
		if found, err := filepath.Glob(pattern); err == nil && len(found) > 0 {
			return found[0]
		}
	}
	t.Fatal("baresip is installed, but not its modules")
	return ""
}

// read collects the events.
func (b *baresip) read() {
	r := bufio.NewReader(b.conn)
	for {
		length, err := r.ReadString(':')
		if err != nil {
			return
		}
		n, err := strconv.Atoi(strings.Trim(length, ":,"))
		if err != nil || n < 0 || n > 1<<20 {
			return
		}
		text := make([]byte, n+1) // with the comma behind
		if _, err := io.ReadFull(r, text); err != nil {
			return
		}
		var m struct {
			Event bool
			Type  string
		}
		if json.Unmarshal(text[:n], &m) == nil && m.Event {
			b.mu.Lock()
			b.events = append(b.events, m.Type)
			b.mu.Unlock()
		}
	}
}

func (b *baresip) list() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.events[:len(b.events):len(b.events)]
}

// wait waits for an event of one of these types after those waited for before.
func (b *baresip) wait(t testing.TB, types ...string) {
	t.Helper()
	eventually(t, phoneStep, "baresip: "+strings.Join(types, " or ")+"\n"+tail(b.output()), func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		for i := b.from; i < len(b.events); i++ {
			for _, want := range types {
				if b.events[i] == want {
					b.from = i + 1
					return true
				}
			}
		}
		return false
	})
}

// do gives a command.
func (b *baresip) do(t testing.TB, command, params string) {
	t.Helper()
	m, err := json.Marshal(map[string]string{"command": command, "params": params, "token": "t"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(b.conn, "%d:%s,", len(m), m); err != nil {
		t.Fatal(err)
	}
}

// registered reads the output: it registers before its control socket takes connections.
func (b *baresip) registered(t testing.TB) {
	t.Helper()
	b.printed(t, 0, phoneStep, `\{0/`+strings.ToUpper(b.via.transport)+`/`+b.via.family("v4", "v6")+`\} 200 OK`)
}

func (b *baresip) call(t testing.TB, uri string) { t.Helper(); b.do(t, "dial", uri) }
func (b *baresip) ringing(t testing.TB)          { t.Helper(); b.wait(t, "CALL_INCOMING") }
func (b *baresip) answer(t testing.TB)           { t.Helper(); b.do(t, "accept", "") }
func (b *baresip) hangUp(t testing.TB)           { t.Helper(); b.do(t, "hangup", "") }
func (b *baresip) talking(t testing.TB)          { t.Helper(); b.wait(t, "CALL_ESTABLISHED") }
func (b *baresip) idle(t testing.TB)             { t.Helper(); b.wait(t, "CALL_CLOSED") }
func (b *baresip) trace(testing.TB) string       { return b.output() }

func (b *baresip) heard(t testing.TB) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(b.dir, "rec", "*dec.wav"))
	if err != nil || len(found) == 0 {
		t.Fatalf("baresip has recorded nothing (%v)", err)
	}
	return newest(t, found)
}

// newest is the file written last.
func newest(t testing.TB, files []string) string {
	t.Helper()
	var last time.Time
	name := ""
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if name == "" || !st.ModTime().Before(last) {
			name, last = f, st.ModTime()
		}
	}
	return name
}

func (b *baresip) quit(t testing.TB) {
	t.Helper()
	b.do(t, "quit", "")
	select {
	case <-b.done:
	case <-time.After(phoneStep):
		t.Errorf("baresip did not quit:\n%s", tail(b.output()))
	}
}
