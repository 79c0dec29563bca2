package transaction

// inviteClient is the INVITE client transaction: RFC 3261 17.1.1.2 with Figure 5 of RFC 6026.
//
// evRetransmit is Timer A. evLife is Timer B in Calling, the 64*T1 after CANCEL (9.1) in Proceeding, Timer M in Accepted
// and Timer D in Completed.
func inviteClient(s state, ev event) (state, action) {
	switch s {
	case idle:
		if ev == evStart {
			return calling, sendRequest | startA | startB
		}

	case calling:
		switch ev {
		case evRetransmit: // Timer A
			return calling, sendRequest | doubleA
		case evLife: // Timer B
			return terminated, tellTimeout
		case evTransport:
			return terminated, tellTransport
		case ev1xx:
			return proceeding, toUser | stopA | stopB
		case ev2xx:
			return accepted, toUser | stopA | startL // Timer M
		case ev3xx:
			return completed, sendAck | toUser | stopA | startD
		}

	case proceeding:
		switch ev {
		case ev1xx:
			return proceeding, toUser
		case ev2xx:
			return accepted, toUser | startL // Timer M
		case ev3xx:
			return completed, sendAck | toUser | startD
		case evLife:
			// RFC 3261 9.1: no final response 64*T1 after the CANCEL: the transaction is taken for cancelled.
			return terminated, tellCancel
		}
		// A transport error here is one of an earlier INVITE that arrived after all, or of the CANCEL: absorbed.

	case accepted:
		switch ev {
		case ev2xx:
			return accepted, toUser
		case evLife: // Timer M
			return terminated, 0
		}

	case completed:
		switch ev {
		case ev3xx:
			return completed, resendAck
		case evLife: // Timer D
			return terminated, 0
		case evTransport:
			// Deviates from RFC 6026 8.4: the figure informs the TU of an ACK that cannot be sent. Ours has its final
			// response already and could do nothing with it, so it only hears that the transaction has ended.
			return terminated, 0
		}
	}
	return s, 0 // Everything else is absorbed.
}
