// Package provision makes users: key, realm, credentials and the columns a new user takes from the template
// default@domain, one by one or from a CSV file. The commands sipd and addsipuser share it, so that a user is the same
// whoever added him.
//
// It decides nothing about calls, opens no database (it is handed a store) and starts no goroutine. RFC 7616 3.4.2 and
// RFC 8760 say what an HA1 is; BEHAVIOUR A13 to A15 what a user of sipd is.
package provision
