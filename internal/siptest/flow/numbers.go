package flow

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// alias reads: alias NAME USER [group [serial|parallel] [delay=SECONDS]].
func (p *parser) alias(words []string) error {
	const want = "want: alias sales@example.org bob@example.org [group [serial|parallel] [delay=5]]"
	if len(words) < 2 || len(words) > 2 && words[2] != "group" {
		return errors.New(want)
	}
	a := Alias{Alias: aor(words[0]), AOR: aor(words[1]), Group: len(words) > 2}
	for _, w := range words[min(len(words), 3):] {
		value, delayed := strings.CutPrefix(w, "delay=")
		switch n, err := strconv.Atoi(value); {
		case w == "serial" || w == "parallel":
			a.Ring = w
		case delayed && err == nil && n >= 0:
			a.Delay = n
		default:
			return errors.New(want)
		}
	}
	p.f.Aliases = append(p.f.Aliases, a)
	return nil
}

// class notes a gateway class.
func (p *parser) class(name string) string {
	if !slices.Contains(p.f.Classes, name) {
		p.f.Classes = append(p.f.Classes, name)
	}
	return name
}

// numbers reads what says what becomes of numbers.
func (p *parser) numbers(words []string) error {
	switch rest := words[1:]; words[0] {
	case "class":
		if len(rest) != 1 {
			return errors.New("want: class NAME")
		}
		p.class(rest[0])
	case "dialplan":
		if len(rest) < 2 || len(rest) > 3 || len(rest) == 3 && rest[2] != "emergency" {
			return errors.New("want: dialplan (9)??????? tel:+1212$ [emergency]")
		}
		p.f.DialPlan = append(p.f.DialPlan, DialRule{Pattern: rest[0], Target: rest[1], Emergency: len(rest) == 3})
	case "gateway", "or":
		return p.gateway(words)
	case "trunk":
		return p.trunk(rest)
	case "forward":
		return p.forward(rest)
	}
	return nil
}

// gateway reads: gateway PATTERN CLASSES TARGET [weight=N]; or PATTERN CLASSES TARGET [weight=N] is one more of its hunt group.
func (p *parser) gateway(words []string) error {
	const want = "want: gateway (+1)* staff,faculty sip:81$@10.0.0.50 [weight=10]"
	position := len(p.f.Gateways)
	if words[0] == "or" {
		if position == 0 {
			return errors.New("or belongs below a gateway line")
		}
		position = p.f.Gateways[position-1].Position
	}
	if len(words) < 4 || len(words) > 5 {
		return errors.New(want)
	}
	r := GatewayRule{Position: position, Pattern: words[1], Classes: words[2], Target: words[3], Weight: 1}
	if len(words) == 5 {
		text, ok := strings.CutPrefix(words[4], "weight=")
		n, err := strconv.Atoi(text)
		if !ok || err != nil || n < 0 {
			return errors.New(want)
		}
		r.Weight = n
	}
	for c := range strings.SplitSeq(r.Classes, ",") {
		if c != "*" {
			p.class(c)
		}
	}
	p.f.Gateways = append(p.f.Gateways, r)
	return nil
}

// trunk reads: trunk NAME URI [NETWORK ...] [name=DOMAIN] [class=CLASS] [max=CALLS] [probe=SECONDS] [drained] [disabled].
func (p *parser) trunk(words []string) error {
	if len(words) < 2 {
		return errors.New("want: trunk gw1 sip:10.0.0.50 [10.0.0.50] [name=gw.example] [class=staff] [max=10] [probe=30] [drained] [disabled]")
	}
	t := Trunk{Name: words[0], URI: words[1], Probe: -1}
	for _, w := range words[2:] {
		switch name, value, _ := strings.Cut(w, "="); name {
		case "name":
			t.TLSName = value
		case "class":
			t.Class = p.class(value)
		case "max", "probe":
			n, err := strconv.Atoi(value)
			if err != nil || n <= 0 {
				return fmt.Errorf("%q: want a number above 0", w)
			}
			if name == "max" {
				t.MaxCalls = n
			} else {
				t.Probe = n
			}
		case "drained":
			t.Drained = true
		case "disabled":
			t.Disabled = true
		default:
			t.Nets = strings.TrimSpace(t.Nets + " " + w)
		}
	}
	p.f.Trunks = append(p.f.Trunks, t)
	return nil
}

// forward reads: forward USER KIND TARGET [SECONDS].
func (p *parser) forward(words []string) error {
	const want = "want: forward bob all|busy|noanswer|offline sip:carol@example.org [15]"
	if len(words) < 3 || len(words) > 4 || !slices.Contains([]string{"all", "busy", "noanswer", "offline"}, words[1]) {
		return errors.New(want)
	}
	f := Forward{AOR: aor(words[0]), Kind: words[1], Target: words[2]}
	if len(words) == 4 {
		var err error
		if f.Seconds, err = strconv.Atoi(words[3]); err != nil || f.Seconds <= 0 {
			return errors.New(want)
		}
	}
	p.f.Forwards = append(p.f.Forwards, f)
	return nil
}
