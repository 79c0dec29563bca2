// Package numbers is the commands of sipd about what becomes of numbers: dialplan, gatewaymap, gateway, class, group, forward and plantest.
// They work on the database; a running server sees what they change within a second.
//
// Every change of the dial plan, the gateway map, gateways, classes and aliases goes through Change: in one transaction the rows are checked, the
// plan tests run and the change noted in audit_log. The package starts no goroutine.
package numbers
