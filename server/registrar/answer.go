package registrar

import (
	"errors"
	"strconv"
	"sync"
	"time"

	"sipd/location"
	"sipd/server/message"
	"sipd/sipaddr"
	"sipd/store"
)

// dateFormat is SIP-date (RFC 3261 20.17): RFC 1123, GMT only.
const dateFormat = "Mon, 02 Jan 2006 15:04:05 GMT"

// room is where the values of a 200 are put together: they live until the response is written.
type room struct {
	fields []message.Field
	text   []byte
}

var rooms = sync.Pool{New: func() any { return new(room) }}

// maxRoom is the largest text that is kept for the next answer.
const maxRoom = 16 << 10

// AppendOK writes the 200 of step 8: every binding with what is left of its life, Path (RFC 3327 5.3), Date. outbound is
// Update.Outbound: the UAC learns that its flow is kept (RFC 5626 6).
func AppendOK(dst []byte, req *message.Message, toTag []byte, bindings []*location.Binding, outbound bool, now time.Time) []byte {
	r := rooms.Get().(*room)
	fields, text := r.fields[:0], r.text[:0]
	add := func(name string, at int) {
		fields = append(fields, message.Field{Name: name, Value: text[at:len(text):len(text)]})
	}
	for _, b := range bindings {
		if !b.Live(now) {
			continue
		}
		at := len(text)
		text = appendContact(text, b, now)
		add("Contact", at)
	}
	at := len(text)
	for v := req.Values(message.Path); ; {
		value, ok := v.Next()
		if !ok {
			break
		}
		if len(text) > at {
			text = append(text, ", "...)
		}
		text = append(text, value...)
	}
	if len(text) > at {
		add("Path", at)
	}
	at = len(text)
	text = append(text, "path"...)
	if outbound {
		text = append(text, ", outbound"...)
	}
	add("Supported", at)
	if outbound {
		at = len(text)
		text = append(text, "outbound"...)
		add("Require", at)
	}
	at = len(text)
	text = now.UTC().AppendFormat(text, dateFormat)
	add("Date", at)
	dst = message.AppendResponse(dst, req, 200, "", toTag, fields, nil)
	if cap(text) <= maxRoom {
		clear(fields) // They point into texts that were outgrown.
		r.fields, r.text = fields, text
		rooms.Put(r)
	}
	return dst
}

// appendContact writes one binding as the UA registered it, with expires always (step 8).
func appendContact(dst []byte, b *location.Binding, now time.Time) []byte {
	if b.DisplayName != "" {
		dst = append(dst, '"')
		for i := range len(b.DisplayName) {
			if c := b.DisplayName[i]; c == '"' || c == '\\' {
				dst = append(dst, '\\')
			}
			dst = append(dst, b.DisplayName[i])
		}
		dst = append(dst, `" `...)
	}
	dst = append(append(append(dst, '<'), b.URI...), ">;expires="...)
	left := int64(forever)
	if !b.Static() {
		left = int64((b.Expires.Sub(now) + time.Second - 1) / time.Second) // Rounded up: an answer a moment later says what was granted.
	}
	dst = strconv.AppendInt(dst, left, 10)
	if b.Q != 1000 {
		dst = sipaddr.AppendQ(append(dst, ";q="...), b.Q)
	}
	if b.InstanceID != "" {
		dst = append(append(append(dst, `;+sip.instance="`...), b.InstanceID...), '"')
	}
	if b.RegID != 0 {
		dst = strconv.AppendInt(append(dst, ";reg-id="...), int64(b.RegID), 10)
	}
	if b.Methods != "" {
		dst = append(append(append(dst, `;methods="`...), b.Methods...), '"')
	}
	switch store.Action(b.Action) { // RFC 2543 6.13: the server says which it will do.
	case store.Proxy:
		dst = append(dst, ";action=proxy"...)
	case store.Redirect:
		dst = append(dst, ";action=redirect"...)
	}
	return dst
}

// retryAfter is how long a client waits when the database is away or busy; up to as much again is added, so that not all
// come back in one second.
const retryAfter = 5

// Failure returns the answer to a REGISTER whose change was not taken or failed.
func Failure(err error, now time.Time) Answer {
	switch {
	case errors.Is(err, location.ErrTooMany):
		return Answer{Status: 403, Reason: "Too Many Contacts"} // BEHAVIOUR J
	case errors.Is(err, location.ErrBusy), errors.Is(err, location.ErrAway):
		// Nothing was tried: the same request may succeed later (21.5.4).
		wait := retryAfter + now.UnixMicro()%(retryAfter+1)
		return Answer{Status: 503, Fields: []message.Field{{Name: "Retry-After", Value: strconv.AppendInt(nil, wait, 10)}}}
	case errors.Is(err, location.ErrOutOfOrder):
		return Answer{Status: 500, Reason: "CSeq Not Higher Than The Binding's"} // 10.3 steps 6 and 7: the request fails.
	}
	return Answer{Status: 500} // Step 7: the commit failed, all updates are undone.
}
