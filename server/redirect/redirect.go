package redirect

import (
	"sipd/server/message"
	"sipd/server/target"
)

// Append writes the answer to req behind dst: d.Status with d.Targets, or for 485 d.AORs, as Contact values (8.3, 21.3.3,
// 21.4.23). tag is the To tag.
func Append(dst []byte, req *message.Message, d *target.Decision, tag []byte) []byte {
	var value []byte
	for i := range d.Targets {
		if i > 0 {
			value = append(value, ", "...)
		}
		value = d.Targets[i].AppendContact(value)
	}
	for i, aor := range d.AORs {
		if i > 0 {
			value = append(value, ", "...)
		}
		value = append(append(append(value, "<sip:"...), aor...), '>')
	}
	if len(value) == 0 {
		return message.AppendResponse(dst, req, d.Status, "", tag, nil, nil)
	}
	contacts := [1]message.Field{{Name: "Contact", Value: value}}
	return message.AppendResponse(dst, req, d.Status, "", tag, contacts[:], nil)
}
