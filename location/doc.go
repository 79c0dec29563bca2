// Package location is the location service of RFC 3261 10: which contacts an address-of-record has. It answers from memory
// and writes through to a Store: a change is durable before anybody is told that it happened.
//
// It is not the registrar: it knows no messages and no users, only the update rules of 10.3 steps 6 and 7, the instance and
// reg-id key of RFC 5626 6, the order of q values, expiry, and the number of bindings an AOR may have.
//
// Goroutines: Run is the committer, the only writer. It drains the queue without a timer, commits at most 256 rows at a time,
// publishes what was committed, then calls each Change's Done and Config.Flush once. Submit never blocks: a full queue is
// ErrBusy, a database known to be away ErrAway. Readers take the read lock of one shard; it is a leaf and is not held across anything.
// Bindings lie in memory packed (packed.go, table.go): a reader unpacks those of one AOR.
//
// What the store says when a commit fails:
//   - one set failed alone, or the whole batch was surely not written: memory stays, Done gets ErrNotCommitted.
//   - outcome unknown: the rows of the batch's AORs are read again, and what they say is published. Those that cannot be read stay
//     in doubt and take no change until they have been read; Done gets ErrUnknownOutcome.
package location
