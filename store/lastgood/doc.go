// Package lastgood keeps on disk what a server needs to route calls when it starts and its database does not answer: a file of
// the routing tables (with PrivateKey and HA1s) and a file of the bindings (docs/adr/0016).
//
// It is not a database: a file is written as a whole, beside the one before, and put in its place when it is on disk; it is
// read as a whole or not at all. What is cut off, damaged, of another database, of another version or open to other users is
// refused with an error that says so. It does not decide when to write or when to read (cmd/sipd/daemon).
//
// A file is a line that names it, and blocks: length, CRC-32C of the block's number and bytes, bytes. A block holds whole records; the
// last one counts them.
//
// Goroutines: none. RFC 3261 10.3 and 16.5 are what is answered from these files.
package lastgood
