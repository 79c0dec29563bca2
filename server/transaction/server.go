package transaction

// server is the non-INVITE server transaction: RFC 3261 17.2.2, Figure 8, with RFC 4320 and, for transport errors, which
// change nothing, RFC 6026 8.8 (see inviteServer).
//
// evLife is 64*T1 after the request in Trying and Proceeding (when the client has given up, RFC 4320 4.2 leaves nothing to
// send), and Timer J in Completed. What RFC 4320 forbids to send does not get here; see Respond.
func server(s state, ev event) (state, action) {
	switch s {
	case idle:
		if ev == evStart {
			return trying, startTrying | startB
		}

	case trying:
		switch ev {
		case evTrying:
			return proceeding, send100
		case ev1xx:
			return proceeding, sendResponse | stopA
		case ev2xx, ev3xx:
			return completed, sendResponse | stopA | startJ
		case evLife:
			return terminated, 0
		}

	case proceeding:
		switch ev {
		case evRequest:
			return proceeding, resend
		case ev1xx:
			return proceeding, sendResponse
		case ev2xx, ev3xx:
			return completed, sendResponse | startJ
		case evLife:
			return terminated, 0
		}

	case completed:
		switch ev {
		case evRequest:
			return completed, resend
		case evLife: // Timer J
			return terminated, 0
		}
	}
	return s, 0 // Everything else is absorbed.
}
