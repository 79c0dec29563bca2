// Package trust decides who belongs to the trust domain of RFC 3325, whose identity is asserted there, and what a Privacy header
// (RFC 3323) asks for.
//
// Of is a pure function of the rows of trusted_peers and of what is known of the far end of a flow; Identity of the tables and a
// request; ScreenRequest and ScreenResponse edit copies. None of them has a socket; package proxy asks them. A trusted peer is not
// authenticated by being one: as a caller he is asked for credentials like anybody.
//
// It starts no goroutine.
package trust
