// Package config turns what an operator wrote - sipd.conf, cinema_db.conf, rows of server_settings, --set - into one
// validated Settings, and finds the database.
//
// It knows every directive of the classic sipd.conf and every setting added since, by name; a name it does not know is
// an error that tells the nearest one it knows. It opens no database and no socket, reads no file but the two named
// above, and starts no goroutine. RFC 3261 has no section for it; the bounds come from 10.2.1.1, 10.3 and 16.7.
package config
