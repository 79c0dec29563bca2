package target

import (
	"time"

	"sipd/sipaddr"
)

// Diversion is a call that a user has forwarded.
type Diversion struct {
	From   sipaddr.AOR // who forwards
	To     string      // the URI that he forwards to
	Reason string      // as in Diversion (RFC 5806): unconditional, user-busy, no-answer, unavailable
	Status int         // that his telephones ended with, 0: they were not asked
	Before *Diversion  // by which the call came to him, nil for none
}

// Depth counts a diversion and those before it.
func (v *Diversion) Depth() (n int) {
	for ; v != nil; v = v.Before {
		n++
	}
	return n
}

// Waiting is whose forwards are asked when his telephones fail (Next). Its zero value is nobody's.
type Waiting struct {
	User     sipaddr.AOR
	Diverted *Diversion    // how the call came to him
	NoAnswer time.Duration // how long they may ring; 0: as long as they want
	Class    string        // of the caller
}

// Failure is a search that nobody is left to answer.
type Failure struct {
	Waiting
	URI         *sipaddr.URI // the Request-URI of the request
	Status      int          // the best response; 408 when it is NoAnswer that is over
	Set         []Target     // the target set until now
	Disposition Disposition  // as in the Decision that began the search
}
