package transaction

// inviteServer is the INVITE server transaction: RFC 3261 17.2.1 with Figure 7 of RFC 6026.
//
// evRetransmit is Timer G. evLife is Timer L in Accepted, Timer H in Completed and Timer I in Confirmed. A transport
// error changes nothing in any state (RFC 6026 7.1): retransmissions of the INVITE must still be absorbed.
//
// Deviates from RFC 6026 8.8: the TU SHOULD be informed of the error, but is not. Ours could do nothing: the way of a
// response is fixed, and the transport has tried the second one of 18.2.2.
func inviteServer(s state, ev event) (state, action) {
	switch s {
	case idle:
		if ev == evStart {
			return proceeding, startTrying
		}

	case proceeding:
		switch ev {
		case evRequest:
			return proceeding, resend
		case evTrying:
			return proceeding, send100
		case ev1xx:
			return proceeding, sendResponse | stopA
		case ev2xx:
			// Not stored: RFC 6026 7.1 leaves retransmissions of a 2xx to the user agents.
			return accepted, passResponse | stopA | startL // Timer L
		case ev3xx:
			return completed, sendResponse | startA | startB // Timers G and H
		}

	case accepted:
		switch ev {
		case ev2xx:
			return accepted, passResponse
		case evAck:
			return accepted, toUser
		case evLife: // Timer L
			return terminated, 0
		}

	case completed:
		switch ev {
		case evRequest:
			return completed, resend
		case evRetransmit: // Timer G
			return completed, resend | doubleE
		case evAck:
			return confirmed, stopA | startK // Timer I
		case evLife: // Timer H: the ACK never came.
			return terminated, tellNoAck
		}

	case confirmed:
		if ev == evLife { // Timer I
			return terminated, 0
		}
	}
	return s, 0 // Everything else is absorbed.
}
