// Package calltrace keeps the last 10,000 calls: why each was routed as it was, and what became of it. `sipd explain --call` asks for them.
//
// A call is packed into a buffer of its own, which serves the next one: some 350 bytes, names of rules and tables as numbers. There is no
// lock for all: each call has one, which is held for the packing alone. Nothing is formatted until somebody asks. It decides nothing, and
// nothing of it outlives the process. It starts no goroutine.
package calltrace
