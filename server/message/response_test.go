package message_test

import (
	"testing"
	"time"

	"sipd/server/message"
)

func TestAppendResponse(t *testing.T) {
	const head = "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKa\nVia: SIP/2.0/UDP b, SIP/2.0/UDP c\n"
	const from = "f : \"A\" <sip:a@h>;tag=1\n"
	const id = "i: x\n"
	build := func(method, to string) string {
		return method + " sip:b@h SIP/2.0\n" + id + head + "Timestamp: 54.1\nRecord-Route: <sip:r1;lr>\nt: " + to + "\n" + from +
			"Record-Route: <sip:r2;lr>\nCSeq: 007 " + method + "\nContact: <sip:a@c>\nl: 4\n\nbody"
	}
	const rr = "Record-Route: <sip:r1;lr>\nRecord-Route: <sip:r2;lr>\n"
	tests := []struct {
		name   string
		req    string
		code   int
		reason string
		tag    string
		fields []message.Field
		body   string
		want   string
	}{
		{"180 has Record-Route and tag", build("INVITE", "<sip:b@h>"), 180, "", "t2", nil, "",
			"SIP/2.0 180 Ringing\n" + head + rr + from + "t: <sip:b@h>;tag=t2\n" + id + "CSeq: 007 INVITE\nContent-Length: 0\n\n"},
		{"200 with fields and body", build("SUBSCRIBE", "sip:b@h"), 200, "Fine", "t2", []message.Field{{Name: "Expires", Value: []byte("60")}}, "x=1",
			"SIP/2.0 200 Fine\n" + head + rr + from + "t: sip:b@h;tag=t2\n" + id + "CSeq: 007 SUBSCRIBE\nExpires: 60\nContent-Length: 3\n\nx=1"},
		{"200 to a REGISTER makes no dialog", build("REGISTER", "<sip:b@h>"), 200, "", "t2", nil, "",
			"SIP/2.0 200 OK\n" + head + from + "t: <sip:b@h>;tag=t2\n" + id + "CSeq: 007 REGISTER\nContent-Length: 0\n\n"},
		{"final failure has no Record-Route", build("INVITE", "<sip:b@h>"), 404, "", "t2", nil, "",
			"SIP/2.0 404 Not Found\n" + head + from + "t: <sip:b@h>;tag=t2\n" + id + "CSeq: 007 INVITE\nContent-Length: 0\n\n"},
		{"a tag stays", build("BYE", "<sip:b@h>;tag=own"), 481, "", "t2", nil, "",
			"SIP/2.0 481 Call/Transaction Does Not Exist\n" + head + from + "t: <sip:b@h>;tag=own\n" + id + "CSeq: 007 BYE\nContent-Length: 0\n\n"},
		{"a reason cannot start a header", build("BYE", "<sip:b@h>;tag=own"), 499, "A\r\nB: c", "", nil, "",
			"SIP/2.0 499 A  B: c\n" + head + from + "t: <sip:b@h>;tag=own\n" + id + "CSeq: 007 BYE\nContent-Length: 0\n\n"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			m := index(t, crlf(tt.req))
			got := message.AppendResponse([]byte("dst"), m, tt.code, tt.reason, []byte(tt.tag), tt.fields, []byte(tt.body))
			if want := "dst" + string(crlf(tt.want)); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
			r := index(t, got[3:])
			is(t, "status", r.Status(), tt.code)
			is(t, "CSeq", r.CSeq(), 7)
		})
	}
}

// RFC 3261 8.2.6.1: 100 carries the Timestamp of the request and the delay.
func TestAppendTrying(t *testing.T) {
	for _, tt := range []struct{ name, stamp, want string }{
		{"none", "", ""},
		{"seconds", "Timestamp: 54\n", "Timestamp: 54 0.203\n"},
		{"with a point", "timestamp: 54.1 \n", "Timestamp: 54.1 0.203\n"},
		{"with a delay of its own", "Timestamp: 54.1 2\n", "Timestamp: 54.1 2\n"},
		{"nonsense", "Timestamp: soon\n", "Timestamp: soon\n"},
		{"point alone", "Timestamp: .\n", "Timestamp: .\n"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			const head = "Via: SIP/2.0/UDP a;branch=z9hG4bKx\nFrom: <sip:a@h>;tag=1\nTo: <sip:b@h>\nCall-ID: c\nCSeq: 1 INVITE\n"
			m := index(t, crlf("INVITE sip:b@h SIP/2.0\n"+tt.stamp+head+"Content-Length: 0\n\n"))
			got := message.AppendTrying([]byte("dst"), m, 203*time.Millisecond)
			if want := "dst" + string(crlf("SIP/2.0 100 Trying\n"+head+tt.want+"Content-Length: 0\n\n")); string(got) != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// The requests that follow from an INVITE: 17.1.1.3 and 9.1.
func TestAckAndCancel(t *testing.T) {
	invite := index(t, crlf("INVITE sip:b@192.0.2.20;x=1 SIP/2.0\nVia: SIP/2.0/UDP p;branch=z9hG4bKp , SIP/2.0/UDP a;branch=z9hG4bKa\n"+
		"Route: <sip:r1;lr>, <sip:r2;lr>\nMax-Forwards: 5\nf: <sip:a@h>;tag=1\nTo: <sip:b@h>\ni: x\nCSeq: 8 INVITE\nContact: <sip:a@c>\n"+
		"Proxy-Authorization: Digest a=b\nroute: <sip:r3;lr>\nContent-Length: 4\n\nbody"))
	resp := index(t, crlf("SIP/2.0 486 Busy Here\nVia: SIP/2.0/UDP p;branch=z9hG4bKp\nFrom: <sip:a@h>;tag=1\nTo: <sip:b@h>;tag=2\nCall-ID: x\nCSeq: 8 INVITE\nContent-Length: 0\n\n"))
	const start = " sip:b@192.0.2.20;x=1 SIP/2.0\nVia: SIP/2.0/UDP p;branch=z9hG4bKp\nMax-Forwards: 70\nRoute: <sip:r1;lr>, <sip:r2;lr>\nroute: <sip:r3;lr>\nf: <sip:a@h>;tag=1\n"
	want := "ACK" + start + "To: <sip:b@h>;tag=2\ni: x\nCSeq: 8 ACK\nContent-Length: 0\n\n"
	got := message.AppendAck(nil, invite, resp)
	if string(got) != string(crlf(want)) {
		t.Errorf("ACK: got %q, want %q", got, crlf(want))
	}
	index(t, got)
	want = "CANCEL" + start + "To: <sip:b@h>\ni: x\nCSeq: 8 CANCEL\nReason: SIP;cause=200\nContent-Length: 0\n\n"
	got = message.AppendCancel(nil, invite, []message.Field{{Name: "Reason", Value: []byte("SIP;cause=200")}})
	if string(got) != string(crlf(want)) {
		t.Errorf("CANCEL: got %q, want %q", got, crlf(want))
	}
	index(t, got)
}

func TestAppendDate(t *testing.T) {
	at := time.Date(2010, 11, 14, 0, 29, 0, 0, time.FixedZone("CET", 3600))
	is(t, "date", string(message.AppendDate(nil, at)), "Sat, 13 Nov 2010 23:29:00 GMT")
}

func TestAppendVia(t *testing.T) {
	got := message.AppendVia(nil, "UDP", []byte("[2001:db8::1]:5060"), []byte("z9hG4bKx"), true)
	v, err := message.ParseVia(got)
	if err != nil {
		t.Fatal(err)
	}
	is(t, "Via", string(got), "SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bKx;rport")
	is(t, "host", text(v.Host), "2001:db8::1")
	is(t, "without rport", string(message.AppendVia(nil, "TCP", []byte("h"), []byte("b"), false)), "SIP/2.0/TCP h;branch=b")
}
