package message_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"sipd/server/message"
)

// seeds are the messages of RFC 4475 and 5118, and some of ours.
func seeds(f *testing.F) [][]byte {
	f.Helper()
	files, err := filepath.Glob("testdata/rfc*/*.dat")
	if err != nil || len(files) < 60 {
		f.Fatalf("got %d files (%v), want those of RFC 4475 and 5118", len(files), err)
	}
	all := [][]byte{invite, crlf(request), crlf("SIP/2.0 200 OK\n" + lines + "l: 0\n\n")}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		all = append(all, raw)
	}
	return all
}

// FuzzIndex indexes anything. What is taken has its parts in order, is forwarded unchanged, and what is built from it can
// be indexed again.
func FuzzIndex(f *testing.F) {
	for _, raw := range seeds(f) {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		given := bytes.Clone(raw)
		m := message.Message{Source: source}
		err := m.Index(raw)
		if !bytes.Equal(raw, given) {
			t.Fatal("Index changed its input")
		}
		checkHeaders(t, &m)
		checkValues(t, &m)
		if err != nil {
			checkMalformed(t, &m, err)
			return
		}
		checkUntouched(t, &m)
		var c message.Message
		c.Copy(&m)
		if !bytes.Equal(c.Raw(), m.Raw()) || !bytes.Equal(c.Top().Text, m.Top().Text) || !bytes.Equal(c.FromTag(), m.FromTag()) {
			t.Fatal("copy differs")
		}
		if !m.IsRequest() {
			return
		}
		resp := message.AppendResponse(nil, &m, 404, "", []byte("tag1"), nil, nil)
		r := checkBuilt(t, resp)
		if r == nil {
			return
		}
		if r.Status() != 404 || !bytes.Equal(r.CallID(), m.CallID()) || r.CSeq() != m.CSeq() || !bytes.Equal(r.FromTag(), m.FromTag()) ||
			!bytes.Equal(r.MethodText(), m.MethodText()) || len(r.ToTag()) == 0 || !bytes.Equal(r.Top().Branch, m.Top().Branch) {
			t.Fatalf("response %q does not fit %q", resp, m.Raw())
		}
		checkBuilt(t, message.AppendCancel(nil, &m, nil))
		checkBuilt(t, message.AppendAck(nil, &m, r))
		var s message.Splice
		if forwarded := checkBuilt(t, forward(&s, &m, nil)); forwarded != nil {
			if !bytes.Equal(forwarded.Body(), m.Body()) || !bytes.Equal(forwarded.CallID(), m.CallID()) {
				t.Fatalf("forwarded: %q", forwarded.Raw())
			}
		}
	})
}

func checkHeaders(t *testing.T, m *message.Message) {
	at := uint32(0)
	for _, h := range m.Headers() {
		if h.Start < at || h.Start >= h.NameEnd || h.NameEnd >= h.ValStart || h.ValStart > h.ValEnd || h.ValEnd > h.End || int(h.End) > len(m.Raw()) {
			t.Fatalf("header %+v behind %d is out of order", h, at)
		}
		at = h.End
		if got := m.Raw()[h.End-2 : h.End]; string(got) != "\r\n" {
			t.Fatalf("header %q does not end its line", m.HeaderName(h))
		}
	}
}

func checkValues(t *testing.T, m *message.Message) {
	for id := message.Via; id.String() != ""; id++ {
		at := 0
		for v := m.Values(id); ; {
			text, ok := v.Next()
			if !ok {
				break
			}
			if len(text) == 0 || !bytes.Equal(text, bytes.TrimSpace(text)) && !bytes.ContainsAny(text, "\v\f\x85\u00a0") {
				t.Fatalf("%v has the value %q", id, text)
			}
			n := bytes.Index(m.Raw()[at:], text)
			if n < 0 {
				t.Fatalf("%v: value %q is out of order", id, text)
			}
			at += n
		}
		if m.Has(id) != (m.Value(id) != nil) {
			t.Fatalf("%v: Has and Value disagree", id)
		}
	}
	m.Vias(func(v *message.ViaValue) bool { return len(v.Text) > 0 })
}

func checkMalformed(t *testing.T, m *message.Message, err error) {
	var bad *message.Malformed
	if !errors.As(err, &bad) || !reasonPhrase(bad.What) || bad.Status != 0 && (bad.Status < 400 || bad.Status > 599) {
		t.Fatalf("got %#v", err)
	}
	if bad.Status == 0 {
		return
	}
	resp := message.AppendResponse(nil, m, bad.Status, bad.What, []byte("tag1"), nil, nil)
	if !bytes.HasPrefix(resp, []byte("SIP/2.0 ")) || !bytes.Contains(resp, []byte("\r\nVia")) && !m.Has(message.Via) {
		t.Fatalf("answer %q", resp)
	}
}

// checkBuilt indexes what was built from a good message. Only limits may refuse it: it has a Via more, or is longer.
func checkBuilt(t *testing.T, raw []byte) *message.Message {
	m := new(message.Message)
	err := m.Index(raw)
	if err == nil {
		return m
	}
	var bad *message.Malformed
	if errors.As(err, &bad) && (len(raw) > message.MaxMessage || bad.Status == 483 || bad.Status == 513) {
		return nil
	}
	t.Fatalf("built %q: %v", raw, err)
	return nil
}

// FuzzFrame puts two messages on a stream, in pieces: Frame cuts out what Index would take from datagrams.
func FuzzFrame(f *testing.F) {
	all := seeds(f)
	for i, raw := range all {
		f.Add(raw, all[(i+1)%len(all)], uint16(i*37))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, cut uint16) {
		if skip, n, err := message.Frame(a); skip+n > len(a) || err != nil && n != 0 {
			t.Fatalf("got %d and %d of %d bytes (%v)", skip, n, len(a), err)
		}
		var ma, mb message.Message
		if ma.Index(a) != nil || mb.Index(b) != nil || !ma.Has(message.ContentLength) || !mb.Has(message.ContentLength) {
			return
		}
		stream := append(append(append([]byte("\r\n\r\n"), ma.Raw()...), "\r\n"...), mb.Raw()...)
		var got [][]byte
		for end, start := int(cut)%len(stream), 0; start < len(stream); {
			skip, n, err := message.Frame(stream[start:end])
			if err != nil {
				t.Fatalf("frame %q: %v", stream[start:end], err)
			}
			if start += skip; n > 0 {
				got = append(got, stream[start:start+n])
				start += n
				continue
			}
			if end == len(stream) {
				t.Fatalf("no message in %q", stream[start:])
			}
			end = min(end+1+int(cut)%977, len(stream))
		}
		if len(got) != 2 || !bytes.Equal(got[0], ma.Raw()) || !bytes.Equal(got[1], mb.Raw()) {
			t.Fatalf("got %q, want %q and %q", got, ma.Raw(), mb.Raw())
		}
	})
}

// FuzzAddress parses anything as an address, and as a Via value.
func FuzzAddress(f *testing.F) {
	for _, raw := range seeds(f) {
		var m message.Message
		_ = m.Index(raw) // also of malformed ones
		for _, id := range []message.HeaderID{message.From, message.To, message.Contact, message.Route, message.RecordRoute, message.Via} {
			f.Add(m.Value(id))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if v, err := message.ParseVia(text); err == nil && (len(v.Host) == 0 || len(v.Transport) == 0 || !bytes.Contains(text, v.Text)) {
			t.Fatalf("Via %q: got %+v", text, v)
		}
		a, err := message.ParseAddress(text)
		if err != nil {
			return
		}
		if !bytes.Contains(text, a.Text) || !bytes.Contains(a.Text, a.URI.Text) || len(a.URI.Text) == 0 {
			t.Fatalf("%q: got %+v", text, a)
		}
		rest := a.Params
		for {
			name, value, next, ok := message.NextParam(rest)
			if !ok {
				break
			}
			if _, ok := a.Param(string(name)); !ok || len(name) == 0 || len(next) >= len(rest) {
				t.Fatalf("%q: parameter %q=%q", text, name, value)
			}
			rest = next
		}
		if len(rest) != 0 {
			t.Fatalf("%q: parameters end with %q", text, rest)
		}
		again, err := message.ParseAddress(a.Text)
		if err != nil || !bytes.Equal(again.URI.Text, a.URI.Text) || !bytes.Equal(again.Params, a.Params) {
			t.Fatalf("%q: again %+v %v", text, again, err)
		}
		if _, ok, err := a.Q(); err != nil && !ok {
			t.Fatal("an error of a missing q")
		}
		a.Expires()
		a.RegID()
	})
}
