package config

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// unbuiltTransports have names, but are not in this version.
var unbuiltTransports = []string{"ws", "wss"}

// ParseListen reads a listener: "udp:0.0.0.0:5060", "tcp:[::1]:5060", "udp:192.0.2.1" (port 5060).
func ParseListen(text string) (Listen, error) {
	transport, addr, ok := strings.Cut(text, ":")
	transport = strings.ToLower(transport)
	switch {
	case slices.Contains(unbuiltTransports, transport):
		return Listen{}, fmt.Errorf("got %q; this version listens on udp, tcp and tls", text)
	case !ok || transport != "udp" && transport != "tcp" && transport != "tls":
		return Listen{}, fmt.Errorf("got %q; write transport, address and port: udp:0.0.0.0:5060, tcp:[::]:5060 or tls:0.0.0.0:5061", text)
	}
	ap, err := netip.ParseAddrPort(addr)
	if err != nil {
		a, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(addr, "["), "]"))
		if err != nil {
			return Listen{}, fmt.Errorf("got %q; write a numeric address, IPv6 in brackets: %s:0.0.0.0:5060", text, transport)
		}
		ap = netip.AddrPortFrom(a, 5060)
		if transport == "tls" {
			ap = netip.AddrPortFrom(a, tlsPort)
		}
	}
	if ap.Addr().Is4In6() {
		ap = netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return Listen{transport, ap}, nil
}

func listen(b *builder, v Value) error {
	items := list(v)
	if len(items) == 0 {
		return errors.New("the value is missing; write udp:0.0.0.0:5060")
	}
	for _, item := range items {
		l, err := ParseListen(item)
		if err != nil {
			return err
		}
		if slices.Contains(b.Listen, l) && l.Addr.Port() != 0 {
			return fmt.Errorf("%s stands twice", item)
		}
		b.Listen = append(b.Listen, l)
	}
	if len(b.Listen) > maxListen {
		return fmt.Errorf("%d listeners; at most %d", len(b.Listen), maxListen)
	}
	return nil
}

// ParseAdmin reads AdminListen: "off", "127.0.0.1:8060", "unix:/run/sipd/admin.sock".
func ParseAdmin(text string) (network, addr string, err error) {
	if strings.EqualFold(text, "off") {
		return "", "", nil
	}
	if path, ok := strings.CutPrefix(text, "unix:"); ok {
		if path == "" || len(path) > 107 { // sockaddr_un
			return "", "", fmt.Errorf("got %q; write unix: and a path of at most 107 bytes", text)
		}
		return "unix", path, nil
	}
	if _, err := netip.ParseAddrPort(text); err != nil {
		return "", "", fmt.Errorf("got %q; write off, 127.0.0.1:8060, [::1]:8060 or unix:PATH", text)
	}
	return "tcp", text, nil
}

func adminListen(b *builder, v Value) error {
	text, err := single(v)
	if err != nil {
		return err
	}
	if _, _, err := ParseAdmin(text); err != nil {
		return err
	}
	b.AdminListen = text
	return nil
}

// facilities and severities are those of the classic manual page.
var (
	facilities = []string{"kern", "user", "mail", "daemon", "auth", "lpr", "news", "uucp", "cron",
		"local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7"}
	severities = []string{"emergency", "alert", "critical", "warning", "notice", "info", "debug"}
)

// requestLog takes `sql`, `none`, and the classic destinations with an optional format: a file, |program,
// @facility.severity, sql://...
func requestLog(b *builder, v Value) error {
	args := v.Args
	if len(args) == 1 { // from a table or --set: one text
		var err error
		if args, err = splitWords(args[0]); err != nil {
			return err
		}
	}
	if len(args) == 0 || args[0] == "" {
		return errors.New("the value is missing; write sql or none")
	}
	if len(args) > 2 {
		return fmt.Errorf("takes a destination and a format, got %d words; put the format into double quotes", len(args))
	}
	target := args[0]
	switch {
	case target == "none":
		b.logNone = true
	case target == "sql":
		b.logSQL = true
	case strings.HasPrefix(target, "sql://"), strings.HasPrefix(target, "postgres://"):
		if _, err := ParseDatabase(target); err != nil {
			return err
		}
		b.logSQL = true
		b.note(v.Source + ": RequestLog sql://...: requests are logged in sipd's own database, table requestlog")
	case strings.HasPrefix(target, "@"):
		facility, severity, _ := strings.Cut(target[1:], ".")
		if !slices.Contains(facilities, facility) || !slices.Contains(severities, severity) {
			return fmt.Errorf("got %q; write @facility.severity, facility one of %s, severity one of %s",
				target, strings.Join(facilities, " "), strings.Join(severities, " "))
		}
		b.unusedLog(v)
	default:
		b.unusedLog(v)
	}
	return nil
}

func (b *builder) unusedLog(v Value) {
	b.note(v.Source + ": RequestLog: this version writes the table requestlog only, not " + strings.Join(v.Args, " "))
}
