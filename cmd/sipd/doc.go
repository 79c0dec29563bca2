// Command sipd is a SIP registrar, forking proxy and redirect server, and the tool that fills its database.
//
// `sipd run` (or sipd alone) serves: package daemon below this one puts the parts together and ends them in order. The
// other sub-commands work on the database; a running server sees what they change within a second. Exit status: 0 done,
// 1 failed at run time, 2 bad usage or configuration. The commands start no goroutine; the daemon's are listed there.
package main
