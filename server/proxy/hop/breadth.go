package hop

import (
	"strconv"

	"sipd/server/message"
)

// defaultBreadth is Max-Breadth when the request has none, and the most that is taken over from one (RFC 5393 5.3.3).
const defaultBreadth = 60

// Breadth returns the incoming Max-Breadth, at least 1: Validate has refused 0.
func Breadth(m *message.Message) int {
	if n, ok := m.Seconds(message.MaxBreadth); ok {
		return max(1, min(n, defaultBreadth))
	}
	return defaultBreadth
}

// SetBreadth writes share as the only Max-Breadth of a copy of req (RFC 5393 5.3.3).
func SetBreadth(sp *message.Splice, req *message.Message, share int) {
	value := breadthText[min(share, defaultBreadth)]
	h, ok := req.First(message.MaxBreadth)
	if !ok {
		sp.AddHeader("Max-Breadth", value)
		return
	}
	sp.SetValue(h, value)
	for h, ok = req.After(h); ok; h, ok = req.After(h) {
		sp.Remove(h)
	}
}

// breadthText holds all values so that writing one allocates nothing.
var breadthText = func() (t [defaultBreadth + 1][]byte) {
	for i := range t {
		t[i] = strconv.AppendInt(nil, int64(i), 10)
	}
	return t
}()
