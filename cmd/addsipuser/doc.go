// Command addsipuser adds a user to sipd's database, as its namesake of 2001 did. It knows no SIP and starts no
// goroutine. `sipd user` does more; both make the same user (package provision).
package main
