package transaction

// client is the non-INVITE client transaction: RFC 3261 17.1.2.2, Figure 6. A CANCEL runs in one, too.
//
// evRetransmit is Timer E. evLife is Timer F in Trying and Proceeding, and Timer K in Completed.
func client(s state, ev event) (state, action) {
	switch s {
	case idle:
		if ev == evStart {
			return trying, sendRequest | startA | startB // Timers E and F
		}

	case trying:
		switch ev {
		case evRetransmit: // Timer E
			return trying, sendRequest | doubleE
		case evLife: // Timer F
			return terminated, tellTimeout
		case evTransport:
			return terminated, tellTransport
		case ev1xx:
			return proceeding, toUser
		case ev2xx, ev3xx:
			return completed, toUser | stopA | startK
		}

	case proceeding:
		switch ev {
		case evRetransmit: // Timer E
			return proceeding, sendRequest | slowE
		case evLife: // Timer F
			return terminated, tellTimeout
		case evTransport:
			return terminated, tellTransport
		case ev1xx:
			return proceeding, toUser
		case ev2xx, ev3xx:
			return completed, toUser | stopA | startK
		}

	case completed:
		if ev == evLife { // Timer K
			return terminated, 0
		}
	}
	return s, 0 // Everything else is absorbed.
}
