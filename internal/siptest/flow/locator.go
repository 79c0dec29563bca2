package flow

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Locator is who the server asks where users are.
type Locator struct {
	Used  bool // there are locator lines
	Knows []Whereabouts
	Does  string        // "", cached, fails, silent
	Delay time.Duration // before it answers
}

// Whereabouts is a contact that it names.
type Whereabouts struct {
	AOR, URI string
	Milli    int    // q in thousandths
	Caller   string // only when he calls; "" for everybody
}

// locator reads: locator USER URI [q=0.5] [caller=USER], locator cached|fails|silent|slow=1s.
func (p *parser) locator(words []string) error {
	l := &p.f.Locator
	l.Used = true
	if len(words) == 1 {
		does, value, _ := strings.Cut(words[0], "=")
		switch does {
		case "cached", "fails", "silent":
			l.Does = does
			return nil
		case "slow":
			var err error
			if l.Delay, err = time.ParseDuration(value); err == nil && l.Delay > 0 {
				return nil
			}
		}
	}
	if len(words) < 2 {
		return fmt.Errorf("want: locator frank sip:frank@10.0.0.51 [q=0.5] [caller=alice], or locator cached|fails|silent|slow=1s")
	}
	w := Whereabouts{AOR: aor(words[0]), URI: words[1], Milli: 1000}
	for _, word := range words[2:] {
		switch key, value, _ := strings.Cut(word, "="); key {
		case "q":
			v, err := strconv.ParseFloat(value, 64)
			if err != nil || v < 0 || v > 1 {
				return fmt.Errorf("%q: q is 0 to 1", word)
			}
			w.Milli = int(v*1000 + 0.5)
		case "caller":
			w.Caller = aor(value)
		default:
			return fmt.Errorf("%q is neither q= nor caller=", word)
		}
	}
	l.Knows = append(l.Knows, w)
	return nil
}
