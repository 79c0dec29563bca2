// Package test is the end-to-end tests: the real binaries on real sockets, real phones, both databases.
//
// The phones (baresip, linphonec) run without a sound card in network namespaces of their own, each with a server; a tone
// goes in as microphone and what comes out is recorded, so that a test hears who speaks to whom. Names come from an nsd in the
// namespace, certificates from an authority that the test makes up. That needs root, iproute2, nsd and
// the phones; what is missing is skipped as package testneed says. The rest needs loopback only.
//
// TestOutage takes the database away under traffic (docs/outage.md).
//
// Its goroutines wait for programs that it started, and end with them.
package test
