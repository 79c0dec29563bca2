package message

import "strconv"

// AppendAck writes the ACK for a non-2xx final response resp to the INVITE whose sent bytes are invite (17.1.1.3):
// same Request-URI, topmost Via, From, Call-ID, Route, CSeq number; To of resp; Max-Forwards 70.
func AppendAck(dst []byte, invite, resp *Message) []byte {
	dst = appendHopStart(dst, "ACK", invite)
	dst = appendFirst(dst, invite, From)
	dst = appendFirst(dst, resp, To)
	dst = appendHopEnd(dst, "ACK", invite)
	return appendBody(dst, nil)
}

// AppendCancel writes the CANCEL for the INVITE whose sent bytes are invite (9.1). fields are added, e.g. Reason (RFC 3326).
func AppendCancel(dst []byte, invite *Message, fields []Field) []byte {
	dst = appendHopStart(dst, "CANCEL", invite)
	dst = appendFirst(dst, invite, From)
	dst = appendFirst(dst, invite, To)
	dst = appendHopEnd(dst, "CANCEL", invite)
	for _, f := range fields {
		dst = appendField(dst, f.Name, f.Value)
	}
	return appendBody(dst, nil)
}

// appendHopStart writes what an ACK or CANCEL has in common with its INVITE up to Max-Forwards: Request-URI, the topmost
// Via value alone, Route.
func appendHopStart(dst []byte, method string, invite *Message) []byte {
	dst = append(dst, method...)
	dst = append(dst, ' ')
	dst = append(dst, invite.uriText.of(invite.raw)...)
	dst = append(dst, " SIP/2.0\r\nVia: "...)
	dst = append(dst, invite.via.text.of(invite.raw)...)
	dst = append(dst, "\r\nMax-Forwards: 70\r\n"...)
	return appendLines(dst, invite, Route)
}

// appendHopEnd writes Call-ID and CSeq.
func appendHopEnd(dst []byte, method string, invite *Message) []byte {
	dst = appendFirst(dst, invite, CallID)
	dst = append(dst, "CSeq: "...)
	dst = strconv.AppendUint(dst, uint64(invite.cseq), 10)
	dst = append(dst, ' ')
	dst = append(dst, method...)
	return append(dst, '\r', '\n')
}
