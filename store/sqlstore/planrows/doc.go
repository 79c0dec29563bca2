// Package planrows reads and writes the tables that say what becomes of numbers: dialplan, gatewaymap, gateways, gateway_classes, forwards,
// plan_tests, audit_log and, within a change, aliases. It is the part of store/sqlstore that implements store.PlanAdmin.
//
// A change is a transaction that no other overlaps: in SQLite because one writes at a time, in Postgres by an advisory lock. It checks
// rows one by one and that they fit together; whether numbers still lead where they should is asked by who changes them (package plan).
// The package starts no goroutine.
package planrows
