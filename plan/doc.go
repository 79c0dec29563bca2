// Package plan puts together what becomes of numbers: it compiles the rows of dialplan, gatewaymap, gateways and gateway_classes to a Plan,
// which calls are routed by, and says before a change goes live what it does: plan tests, map files, what is routed differently.
//
// A Plan is immutable. A table with a row that cannot be used leaves the last good one in force, and the row is named. A Book adds users
// and aliases, and says where a number leads: users and aliases first, then the dial plan, once, then users and aliases again, then
// the gateway map for what nobody here has. It is for people who change tables; a call is decided by server/target, which asks the same
// tables and more: who is registered, forwards, mail aliases and names of the machine.
//
// It reads no table and starts no goroutine. Sections: RFC 3261 16.5, RFC 3966.
package plan
