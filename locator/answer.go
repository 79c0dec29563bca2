package locator

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"sipd/sipaddr"
)

// Limits of one answer.
const (
	// maxOutput is how much is read.
	maxOutput = 64 << 10
	// maxContacts is how many contacts count: as many as a user may register by default. maxURI is how long one may be.
	maxContacts = 20
	maxURI      = 1000
	// maxFaults is how many faults are told.
	maxFaults = 5
)

// Contact is where a user may be reached.
type Contact struct {
	URI string // sip or sips, without header fields
	Q   int    // in thousandths, as sipaddr.ParseQ has it; 1000 when none was written
}

// Answer is what was answered.
type Answer struct {
	Contacts []Contact     // the highest q first
	TTL      time.Duration // how long it holds
	Faults   []string      // what was passed over, and why
}

// errUseless: everything that was written was passed over.
var errUseless = errors.New("the answer cannot be used")

// parse reads an answer: an object of JSON, or lines. What cannot be used is passed over; when nothing else is there it is an error.
func parse(text []byte) (a Answer, err error) {
	ttl := -1
	if text = bytes.TrimSpace(text); len(text) > 0 && (text[0] == '{' || text[0] == '[') {
		ttl, err = a.parseJSON(text)
	} else {
		ttl = a.parseLines(string(text))
	}
	switch {
	case err != nil:
		return a, err
	case len(a.Contacts) == 0 && len(a.Faults) > 0:
		return a, fmt.Errorf("%w: %s", errUseless, a.Faults[0])
	}
	slices.SortStableFunc(a.Contacts, func(a, b Contact) int { return cmp.Compare(b.Q, a.Q) })
	switch {
	case ttl >= 0:
		a.TTL = min(time.Duration(min(ttl, math.MaxInt32))*time.Second, maxTTL)
	case len(a.Contacts) > 0:
		a.TTL = foundTTL
	default:
		a.TTL = emptyTTL
	}
	return a, nil
}

// parseLines reads "URI [q]" and "ttl SECONDS"; lines that are empty or begin with # do not count. ttl is -1 when there is none.
func (a *Answer) parseLines(text string) (ttl int) {
	ttl = -1
	n := 0
	for line := range strings.Lines(text) {
		n++
		words := strings.Fields(line)
		switch {
		case len(words) == 0 || strings.HasPrefix(words[0], "#"):
		case len(words) > 2:
			a.fault("line %d: %d words; write a URI, and a q value or nothing", n, len(words))
		case strings.EqualFold(words[0], "ttl"):
			seconds, err := strconv.ParseUint(words[len(words)-1], 10, 31)
			if len(words) != 2 || err != nil {
				a.fault("line %d: write ttl and a number of seconds", n)
				continue
			}
			ttl = int(seconds)
		default:
			q := 1000
			if len(words) == 2 {
				var err error
				if q, err = sipaddr.ParseQ([]byte(words[1])); err != nil {
					a.fault("line %d: %q is not a q value; write a number from 0 to 1", n, clip(words[1]))
					continue
				}
			}
			a.add(fmt.Sprintf("line %d", n), words[0], q)
		}
	}
	return ttl
}

// parseJSON reads {"contacts": [{"uri": "sip:...", "q": 0.5}], "ttl": 60}.
func (a *Answer) parseJSON(text []byte) (ttl int, err error) {
	var v struct {
		Contacts []struct {
			URI string   `json:"uri"`
			Q   *float64 `json:"q"`
		} `json:"contacts"`
		TTL *float64 `json:"ttl"`
	}
	if err := json.Unmarshal(text, &v); err != nil {
		return 0, fmt.Errorf("JSON: %w; write {\"contacts\": [{\"uri\": \"sip:bob@192.0.2.1\"}]}", err)
	}
	ttl = -1
	if t := v.TTL; t != nil {
		if *t < 0 {
			a.fault("ttl %v: write a number of seconds", *t)
		} else {
			ttl = int(min(*t, math.MaxInt32))
		}
	}
	for i, c := range v.Contacts {
		q := 1000.0
		if c.Q != nil {
			q = math.Round(*c.Q * 1000)
		}
		if q < 0 || q > 1000 {
			a.fault("contact %d: %v is not a q value; write a number from 0 to 1", i+1, *c.Q)
			continue
		}
		a.add(fmt.Sprintf("contact %d", i+1), c.URI, int(q))
	}
	return ttl, nil
}

// add takes a contact.
func (a *Answer) add(where, uri string, q int) {
	if len(a.Contacts) >= maxContacts {
		a.fault("%s: more than %d contacts", where, maxContacts)
		return
	}
	if len(uri) > maxURI {
		a.fault("%s: a URI of %d bytes, at most %d", where, len(uri), maxURI)
		return
	}
	switch u, err := sipaddr.Parse([]byte(uri)); {
	case err != nil:
		a.fault("%s: %q: %v", where, clip(uri), err)
	case u.Scheme != sipaddr.SIP && u.Scheme != sipaddr.SIPS:
		a.fault("%s: %q is neither a sip nor a sips URI", where, clip(uri))
	case len(u.Headers) > 0: // RFC 3261 19.1.1: not in a Request-URI
		a.fault("%s: %q has header fields", where, clip(uri))
	case !slices.ContainsFunc(a.Contacts, func(c Contact) bool { return c.URI == uri }):
		a.Contacts = append(a.Contacts, Contact{uri, q})
	}
}

func (a *Answer) fault(format string, args ...any) {
	if len(a.Faults) < maxFaults {
		a.Faults = append(a.Faults, fmt.Sprintf(format, args...))
	}
}

// clip shortens foreign text for a message.
func clip(s string) string {
	const most = 64
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}
