package config

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sipd/store"
)

// Bounds of what an operator may write. They keep a typing mistake from becoming an allocation.
const (
	maxResolvers = 8    // a name that none of them knows is asked of all
	maxListen    = 64   // sockets: one a transport and address
	maxLocalNets = 256  // a prefix a campus network
	maxNextHops  = 64   // exceptions, which are looked through for each next hop that needs one
	maxValue     = 8192 // bytes of one value; certificates are named, not written
)

// single returns the one text of a value.
func single(v Value) (string, error) {
	switch {
	case len(v.Args) == 0 || len(v.Args) == 1 && v.Args[0] == "":
		return "", errors.New("the value is missing")
	case len(v.Args) > 1:
		return "", fmt.Errorf("takes one value, got %d words; put the value into double quotes", len(v.Args))
	case len(v.Args[0]) > maxValue:
		return "", fmt.Errorf("the value has %d bytes, at most %d are taken", len(v.Args[0]), maxValue)
	}
	return v.Args[0], nil
}

// list returns the items of a value that is a list, separated by commas or spaces.
func list(v Value) []string {
	return strings.FieldsFunc(strings.Join(v.Args, " "), func(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\n' })
}

// one accepts any text: the part of sipd that acts on it checks the rest.
func one(_ *builder, v Value) error {
	if v.Name == "LogFormat" || v.Name == "LogCondition" {
		v.Args = []string{strings.Join(v.Args, " ")} // lists, and formats that people do not quote
	}
	_, err := single(v)
	return err
}

// text accepts any text and keeps it.
func text(field func(*Settings) *string) func(*builder, Value) error {
	return func(b *builder, v Value) error {
		text, err := single(v)
		if err == nil {
			*field(&b.Settings) = text
		}
		return err
	}
}

// word accepts one of words, in any case.
func word(words ...string) func(*builder, Value) error {
	return func(_ *builder, v Value) error {
		_, err := oneOf(v, words...)
		return err
	}
}

func oneOf(v Value, words ...string) (string, error) {
	text, err := single(v)
	if err != nil {
		return "", err
	}
	if lower := strings.ToLower(text); slices.Contains(words, lower) {
		return lower, nil
	}
	return "", fmt.Errorf("got %q; write %s", text, strings.Join(words, " or "))
}

func parseBool(v Value) (bool, error) {
	text, err := single(v)
	if err != nil {
		return false, err
	}
	switch strings.ToLower(text) {
	case "true", "on", "yes", "1":
		return true, nil
	case "false", "off", "no", "0":
		return false, nil
	}
	return false, fmt.Errorf("got %q; write true or false", text)
}

func checkBool(_ *builder, v Value) error {
	_, err := parseBool(v)
	return err
}

func boolean(field func(*Settings) *bool) func(*builder, Value) error {
	return func(b *builder, v Value) error {
		on, err := parseBool(v)
		if err == nil {
			*field(&b.Settings) = on
		}
		return err
	}
}

func parseCount(v Value, low, high int) (int, error) {
	text, err := single(v)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < low || n > high {
		return 0, fmt.Errorf("got %q; write a number from %d to %d", text, low, high)
	}
	return n, nil
}

func checkCount(low, high int) func(*builder, Value) error {
	return func(_ *builder, v Value) error {
		_, err := parseCount(v, low, high)
		return err
	}
}

// units are the suffixes of a duration; none is seconds, as in the classic.
var units = []struct {
	suffix string
	unit   time.Duration
}{{"ms", time.Millisecond}, {"s", time.Second}, {"m", time.Minute}, {"h", time.Hour}, {"d", 24 * time.Hour}, {"", time.Second}}

// ParseDuration reads seconds, or a number with one of the units ms, s, m, h, d: "900", "15m".
func ParseDuration(text string) (time.Duration, error) {
	for _, u := range units {
		digits, ok := strings.CutSuffix(text, u.suffix)
		if !ok {
			continue
		}
		n, err := strconv.ParseUint(digits, 10, 63)
		if err != nil || n > uint64(1<<63-1)/uint64(u.unit) {
			break
		}
		return time.Duration(n) * u.unit, nil
	}
	return 0, fmt.Errorf("got %q; write seconds, or a number with ms, s, m, h or d: 900, 15m", text)
}

func parseSeconds(v Value, low, high int) (time.Duration, error) {
	text, err := single(v)
	if err != nil {
		return 0, err
	}
	d, err := ParseDuration(text)
	if err != nil {
		return 0, err
	}
	if d%time.Second != 0 || d < time.Duration(low)*time.Second || d > time.Duration(high)*time.Second {
		return 0, fmt.Errorf("got %q; write whole seconds from %d to %d", text, low, high)
	}
	return d, nil
}

func checkSeconds(low, high int) func(*builder, Value) error {
	return func(_ *builder, v Value) error {
		_, err := parseSeconds(v, low, high)
		return err
	}
}

func seconds(low, high int, field func(*builder) *duration) func(*builder, Value) error {
	return func(b *builder, v Value) error {
		d, err := parseSeconds(v, low, high)
		if err == nil {
			*field(b) = duration{d, true}
		}
		return err
	}
}

func authMethod(b *builder, v Value) error {
	text, err := oneOf(v, "digest", "none", "basic")
	switch {
	case err != nil:
		return errors.New(strings.TrimSuffix(err.Error(), " or basic"))
	case text == "basic":
		return errors.New("basic sends passwords in the clear and RFC 3261 22 forbids it; write digest")
	case text == "none":
		b.AuthMethod = AuthNone
	default:
		b.AuthMethod = AuthDigest
	}
	return nil
}

func defaultReg(b *builder, v Value) error {
	text, err := oneOf(v, "proxy", "redirect")
	if err != nil {
		return err
	}
	b.DefaultReg = store.Proxy
	if text == "redirect" {
		b.DefaultReg = store.Redirect
	}
	return nil
}

// displayAmbiguous takes a third value beside true and false: 404 hides that there is anything to choose from (RFC 3261 21.4.23).
func displayAmbiguous(b *builder, v Value) error {
	if len(v.Args) == 1 && v.Args[0] == "404" {
		b.DisplayAmbiguous, b.AmbiguousStatus = false, 404
		return nil
	}
	on, err := parseBool(v)
	if err != nil {
		return errors.New(err.Error() + ", or 404")
	}
	b.DisplayAmbiguous = on
	return nil
}

func ambiguousStatus(b *builder, v Value) error {
	text, err := oneOf(v, "485", "404")
	if err != nil {
		return err
	}
	b.AmbiguousStatus = 485
	if text == "404" {
		b.AmbiguousStatus = 404
	}
	return nil
}

func foreignDomain(b *builder, v Value) (err error) {
	b.ForeignDomain, err = oneOf(v, "proxy", "redirect", "reject")
	return err
}

// resolver reads name servers: addresses, with a port where it is not 53.
func resolver(b *builder, v Value) error {
	for _, item := range list(v) {
		server, err := netip.ParseAddrPort(item)
		if err != nil {
			addr, err := netip.ParseAddr(strings.Trim(item, "[]"))
			if err != nil {
				return fmt.Errorf("got %q; write addresses of name servers: 192.0.2.53 or [2001:db8::53]:53", item)
			}
			server = netip.AddrPortFrom(addr, 53)
		}
		if server.Port() == 0 || server.Addr().IsUnspecified() || server.Addr().IsMulticast() {
			return fmt.Errorf("got %q, where no name server can be; write an address such as 192.0.2.53", item)
		}
		b.Resolver = append(b.Resolver, server)
	}
	if len(b.Resolver) == 0 {
		return errors.New("the value is missing; write addresses of name servers: 192.0.2.53")
	}
	if len(b.Resolver) > maxResolvers {
		return fmt.Errorf("%d name servers; at most %d", len(b.Resolver), maxResolvers)
	}
	return nil
}

func forkOnTimeout(b *builder, v Value) (err error) {
	b.ForkOnTimeout, err = oneOf(v, "add", "cancel")
	return err
}

func maxContacts(b *builder, v Value) (err error) {
	b.MaxContacts, err = parseCount(v, 1, 1000) // a response lists them all and must stay below 64 KiB
	return err
}

func port(b *builder, v Value) error {
	n, err := parseCount(v, 1, 65535)
	b.port = uint16(n)
	return err
}

func portRange(_ *builder, v Value) error {
	text, err := single(v)
	if err != nil {
		return err
	}
	from, to, ok := strings.Cut(text, "-")
	low, err1 := strconv.ParseUint(from, 10, 16)
	high, err2 := strconv.ParseUint(to, 10, 16)
	if !ok || err1 != nil || err2 != nil || low < 1024 || low >= high {
		return fmt.Errorf("got %q; write a range of ports above 1023: 20000-29999", text)
	}
	return nil
}

// hostPattern is a host name or an address: what may stand in a Via.
var hostPattern = regexp.MustCompile(`^([A-Za-z0-9]([A-Za-z0-9_-]*[A-Za-z0-9])?\.?)+$`)

// host reads a host name, or an address without its brackets.
func host(v Value) (string, error) {
	text, err := single(v)
	if err != nil {
		return "", err
	}
	if a, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil && a.Zone() == "" {
		return a.Unmap().String(), nil
	}
	if len(text) > 255 || !hostPattern.MatchString(text) {
		return "", fmt.Errorf("got %q; write a host name: sip.example.com", text)
	}
	return strings.ToLower(strings.TrimSuffix(text, ".")), nil
}

func serverName(b *builder, v Value) (err error) {
	b.ServerName, err = host(v)
	return err
}

func proxyName(b *builder, v Value) (err error) {
	b.ProxyName, err = host(v)
	return err
}

func domainRegex(_ *builder, v Value) error {
	text, err := single(v)
	if err != nil {
		return err
	}
	if _, err := regexp.Compile(`^(?i:` + text + `)$`); err != nil {
		return fmt.Errorf("%q is not a regular expression: %v", text, err)
	}
	return nil
}

func publicAddress(b *builder, v Value) error {
	text, err := single(v)
	if err != nil {
		return err
	}
	a, err := netip.ParseAddr(text)
	if err != nil || a.Zone() != "" || a.IsUnspecified() {
		return fmt.Errorf("got %q; write the address that the world sees: 192.0.2.1", text)
	}
	b.PublicAddress = a.Unmap()
	return nil
}

func digestAlgorithms(b *builder, v Value) error {
	b.DigestAlgorithms = nil
	for _, item := range list(v) {
		a, err := store.ParseAlgorithm(item)
		if err != nil {
			return err
		}
		if slices.Contains(b.DigestAlgorithms, a) {
			return fmt.Errorf("%s stands twice", item)
		}
		b.DigestAlgorithms = append(b.DigestAlgorithms, a)
	}
	if len(b.DigestAlgorithms) == 0 {
		return errors.New("the value is missing; write MD5, or SHA-256,MD5")
	}
	return nil
}

var debugCategories = []string{"all", "sql", "net", "sdp", "misc"}

func debug(b *builder, v Value) error {
	b.Debug = nil
	for _, item := range list(v) {
		if !slices.Contains(debugCategories, item) {
			return fmt.Errorf("got %q; write any of %s", item, strings.Join(debugCategories, ", "))
		}
		if !slices.Contains(b.Debug, item) {
			b.Debug = append(b.Debug, item)
		}
	}
	return nil
}
