package transport

import (
	"bytes"
	"log/slog"
	"slices"
	"testing"
)

// FuzzStream cuts a stream anywhere: the messages found must not depend on where.
func FuzzStream(f *testing.F) {
	one, two := request("one", 0), request("two", 40)
	f.Add([]byte(one+two), []byte{1})
	f.Add([]byte("\r\n\r\n"+one+"\r\n\r\n\r\n"+two+"\r"), []byte{3, 200, 1, 1})
	f.Add([]byte(request("big", 9000)+one+"MESSAGE sip:x SIP/2.0\r\nl: 5\r\n\r\n"), []byte{250, 255, 7})
	f.Add([]byte("\r\n\r\r\n\x00"), []byte{1})
	f.Fuzz(func(t *testing.T, data, cuts []byte) {
		whole, wholeErr := takeAll(data, nil)
		cut, cutErr := takeAll(data, cuts)
		if !slices.Equal(whole, cut) {
			t.Errorf("got %q in pieces, want %q", cut, whole)
		}
		if (wholeErr == nil) != (cutErr == nil) {
			t.Errorf("got error %v in pieces, want %v", cutErr, wholeErr)
		}
	})
}

// takeAll feeds data to a stream in pieces of the lengths cuts, again and again; nil: as much as it takes.
func takeAll(data, cuts []byte) ([]string, error) {
	c := &conn{aborted: true} // keepalives are not written
	s := &Sockets{log: slog.New(slog.DiscardHandler)}
	s.table.init(1, 1)
	s.pool.New = func() any { return NewOut(func(*Out, []Packet) {}) }
	k := &collector{}
	var r Receiver = k
	s.receiver.Store(&r)
	st := stream{s: s, c: c, buf: make([]byte, minReadBuffer)}
	for i := 0; len(data) > 0; i++ {
		n := len(data)
		if len(cuts) > 0 {
			n = min(n, 1+int(cuts[i%len(cuts)]))
		}
		n = copy(st.buf[st.used:], data[:n])
		st.used += n
		data = data[n:]
		if _, err := st.take(); err != nil {
			return k.got, err
		}
	}
	return k.got, nil
}

// collector keeps messages.
type collector struct{ got []string }

func (k *collector) Receive(_ *Out, _ Flow, raw []byte) {
	k.got = append(k.got, string(bytes.Clone(raw)))
}
func (k *collector) SendFailed(*Out, Ref, error) {}
func (k *collector) FlowClosed(*Out, Flow)       {}
