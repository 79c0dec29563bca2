package test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// linphone is a phone by Debian's linphone-cli, driven by its standard input.
type linphone struct {
	*process
	dir    string
	in     io.WriteCloser
	from   int // output seen by waits
	record int
}

// startLinphone starts phone number n of the namespace with a tone as its microphone.
func startLinphone(t testing.TB, ns *namespace, n int, a account, tone float64, via access) *linphone {
	t.Helper()
	need(t, "linphonec")
	dir := t.TempDir()
	for _, d := range []string{".local/share/linphone", ".config/linphone"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	writeTone(t, filepath.Join(dir, "tone.wav"), tone, 60)
	rc := fmt.Sprintf(`[sip]
%[8]s
bind_address=%[1]s
default_proxy=0
use_ipv6=%[10]s
verify_server_certs=1
verify_server_cn=1
root_ca=%[9]s
media_encryption=none
[rtp]
audio_rtp_port=%[2]d
[net]
firewall_policy=0
[sound]
use_files=1
[auth_info_0]
username=%[3]s
passwd=%[4]s
realm=%[5]s
domain=%[5]s
[proxy_0]
reg_proxy=<sip:%[6]s;transport=%[11]s>
reg_route=<sip:%[6]s;transport=%[11]s;lr>
reg_identity=%[7]s
reg_expires=120
reg_sendregister=1
publish=0
[video]
enabled=0
`, strings.Trim(via.own(n), "[]"), 7000+20*n, a.user, a.password, a.domain, via.server, a.uri(), linphonePorts(via.transport), via.roots,
		via.family("0", "1"), via.transport)
	if err := os.WriteFile(filepath.Join(dir, "rc"), []byte(rc), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := ns.command("linphonec", "-c", filepath.Join(dir, "rc"), "-d", "4", "-l", filepath.Join(dir, "debug.log"))
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "HOME="+dir, "XDG_DATA_HOME=", "XDG_CONFIG_HOME=")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	l := &linphone{dir: dir, in: in, process: start(t, cmd)}
	l.printed(t, 0, phoneStart, `linphonec>`)
	l.do(t, "soundcard use files")
	l.do(t, "play "+filepath.Join(dir, "tone.wav"))
	l.newRecording(t)
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("linphonec of %s:\n%s\n%s", a.user, tail(l.output()), tail(l.trace(t)))
		}
	})
	return l
}

// linphonePorts lets a phone listen on one transport alone.
func linphonePorts(transport string) string {
	ports := map[string]int{"udp": 0, "tcp": 0, "tls": 0}
	ports[transport] = 5070
	return fmt.Sprintf("sip_port=%d\nsip_tcp_port=%d\nsip_tls_port=%d", ports["udp"], ports["tcp"], ports["tls"])
}

// do gives a command.
func (l *linphone) do(t testing.TB, command string) {
	t.Helper()
	if _, err := io.WriteString(l.in, command+"\n"); err != nil {
		t.Fatalf("linphonec: %v\n%s", err, tail(l.output()))
	}
}

// wait waits for a line of the debug log after what was waited for before: its console tells less.
func (l *linphone) wait(t testing.TB, limit time.Duration, pattern string) {
	t.Helper()
	re := regexp.MustCompile(pattern)
	eventually(t, limit, "linphonec: "+pattern, func() bool {
		log := l.trace(t)
		at := re.FindStringIndex(log[l.from:])
		if at != nil {
			l.from += at[1]
		}
		select {
		case <-l.done:
			t.Fatalf("linphonec has ended: %v\n%s", l.err, tail(l.output()))
		default:
		}
		return at != nil
	})
}

// state waits until a call gets to one of these states.
func (l *linphone) state(t testing.TB, states string) {
	t.Helper()
	l.wait(t, phoneStep, `CallSession .* moving from state LinphoneCall\w+ to LinphoneCall(`+states+`)\b`)
}

func (l *linphone) registered(t testing.TB) {
	t.Helper()
	l.wait(t, phoneStep, `to \[LinphoneRegistrationOk\]`)
}

// newRecording names the file for what the next call brings. linphonec 5.1 crashes when it is told during a call.
func (l *linphone) newRecording(t testing.TB) {
	t.Helper()
	l.record++
	l.do(t, "record "+filepath.Join(l.dir, fmt.Sprintf("rx%d.wav", l.record)))
}

func (l *linphone) call(t testing.TB, uri string) { t.Helper(); l.do(t, "call "+uri) }
func (l *linphone) ringing(t testing.TB)          { t.Helper(); l.state(t, "IncomingReceived") }
func (l *linphone) answer(t testing.TB)           { t.Helper(); l.do(t, "answer") }
func (l *linphone) hangUp(t testing.TB)           { t.Helper(); l.do(t, "terminate") }
func (l *linphone) talking(t testing.TB)          { t.Helper(); l.state(t, "StreamsRunning") }

func (l *linphone) idle(t testing.TB) {
	t.Helper()
	l.state(t, "Released")
	l.newRecording(t)
}

// heard is the recording before the one that is set for the next call.
func (l *linphone) heard(testing.TB) string {
	return filepath.Join(l.dir, fmt.Sprintf("rx%d.wav", l.record-1))
}

func (l *linphone) trace(t testing.TB) string {
	t.Helper()
	log, err := os.ReadFile(filepath.Join(l.dir, "debug.log"))
	if err != nil {
		t.Fatal(err)
	}
	return string(log)
}

func (l *linphone) quit(t testing.TB) {
	t.Helper()
	l.do(t, "quit")
	select {
	case <-l.done:
	case <-time.After(phoneStep):
		t.Errorf("linphonec did not quit:\n%s", tail(l.output()))
	}
}
