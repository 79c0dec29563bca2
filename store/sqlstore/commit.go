package sqlstore

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
)

const (
	contactColumns = `user_id, uri, uri_norm, display_name, q_milli, action, expires_at, call_id, cseq, instance_id, reg_id,
		path, received, flow, user_agent, methods, local_addr, updated_at, id`
	// refreshColumns are set when the row is there: all but id and user_id, which never change. A row of another user, or a
	// static one, came to its id by other hands: uri, which must not be null, has the table refuse to overwrite it.
	refreshColumns = `uri = CASE WHEN contacts.user_id = excluded.user_id AND contacts.expires_at IS NOT NULL THEN excluded.uri END, uri_norm = excluded.uri_norm,
		display_name = excluded.display_name, q_milli = excluded.q_milli, action = excluded.action, expires_at = excluded.expires_at,
		call_id = excluded.call_id, cseq = excluded.cseq, instance_id = excluded.instance_id, reg_id = excluded.reg_id, path = excluded.path,
		received = excluded.received, flow = excluded.flow, user_agent = excluded.user_agent, methods = excluded.methods,
		local_addr = excluded.local_addr, updated_at = excluded.updated_at`
)

// maxTexts bounds what one contact may take in the database; what the parser lets through is shorter.
const maxTexts = 64 << 10

// uriNorm is contacts.uri_norm: user and host of the contact, for people who search. Nothing is decided by it.
func uriNorm(uri string) string {
	u, err := sipaddr.Parse([]byte(uri))
	if err != nil {
		return ""
	}
	return string(u.AppendAOR(nil))
}

// pathText is contacts.path.
func pathText(path []string) string {
	switch len(path) {
	case 0:
		return ""
	case 1:
		return path[0]
	}
	return strings.Join(path, pathSeparator)
}

// checkBinding tells what keeps a binding out of the database. What identifies it must be stored as it is; the rest is
// cleaned.
func checkBinding(b *location.Binding) error {
	n := len(b.DisplayName) + len(b.UserAgent) + len(b.Methods)
	exact := func(s string) bool {
		n += len(s)
		return utf8.ValidString(s) && strings.IndexByte(s, 0) < 0
	}
	ok := exact(b.URI) && exact(b.CallID) && exact(b.InstanceID)
	for _, p := range b.Path {
		ok = ok && exact(p) && !strings.Contains(p, pathSeparator)
	}
	switch {
	case !ok:
		return fmt.Errorf("%w: a contact, Path or Call-ID that is not UTF-8 text of one line", store.ErrInvalid)
	case n > maxTexts:
		return fmt.Errorf("%w: a contact of %d bytes, more than %d", store.ErrInvalid, n, maxTexts)
	}
	return nil
}

// rows counts the rows of all sets.
func rows(sets []location.RowSet) (upserts, deletes int) {
	for i := range sets {
		upserts += len(sets[i].Upsert)
		deletes += len(sets[i].Delete)
	}
	return upserts, deletes
}

// actionName is contacts.action.
func actionName(b *location.Binding) string { return store.Action(b.Action).String() }
