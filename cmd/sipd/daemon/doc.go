// Package daemon puts the parts of a running sipd together, starts them, and ends them in order: first the server, which
// drains (new requests get 503, open ones finish), then the location service with what is queued, then the request log,
// then the copy on disk, the cache and the health page. The command and the end-to-end tests run the same code.
//
// It has no policy and knows no SIP. Its goroutines: one for each part, and one that connects to the database until it has; all ended when Run returns; the parts' own are
// told in their packages.
package daemon
