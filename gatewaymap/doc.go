// Package gatewaymap is the table that leads telephone numbers to gateways: number and class of the caller in, the URIs of a
// hunt group out (RFC 3261 16.5 leaves the choice of targets to such a table).
//
// Rules are tried in the order of their positions. The first that matches number and class decides; all rules of its position that
// match are one hunt group. A rule whose pattern matches but whose classes do not is passed over and remembered: a number that only
// others may call is denied, not unknown. A caller without a class (NULL: nobody has authenticated him, or he was given none) is let
// through no rule, not even by *.
//
// It decides from what it is given, reads no table and starts no goroutine. A Map is immutable and may be shared.
package gatewaymap
