package message

// Limits of what is taken from outside.
const (
	MaxMessage      = 65535     // bytes of a whole message: the largest UDP datagram; offsets are 16 bit
	MaxHeaders      = 256       // header lines: a hundred is much, and each costs a record
	MaxVias         = 70        // Via values: Max-Forwards starts at 70 (RFC 3261 8.1.1.6)
	MaxURI          = 4096      // bytes of a Request-URI; a longer one is answered 414
	MaxRoutes       = 70        // Route values: one for each hop a request can make
	MaxCSeq         = 1<<31 - 1 // RFC 3261 8.1.1.5
	maxForwardsMost = 255       // RFC 3261 20.22
	maxSeconds      = 1<<31 - 1 // what Seconds clamps to
)
