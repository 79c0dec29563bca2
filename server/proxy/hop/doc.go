// Package hop reads and writes what a next hop depends on that takes neither a socket nor a table: what has to be looked up for a URI (RFC
// 3263 4), how far a URI leads, what a Request-URI must not have (RFC 3261 16.6 step 2), and Max-Breadth (RFC 5393 5.3.3). It sends nothing,
// looks nothing up and starts no goroutine; package proxy decides.
package hop
