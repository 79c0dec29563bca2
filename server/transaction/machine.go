package transaction

import "time"

// The timers of RFC 3261 17 (Table 4), RFC 6026 and RFC 4320 follow from these.
const (
	T1 = 500 * time.Millisecond
	T2 = 4 * time.Second
	T4 = 5 * time.Second
)

// Durations made of T1, T2 and T4.
const (
	timerB = 64 * T1 // also F, H, J, L and M
	timerD = 32 * time.Second

	// RFC 3261 17.2.1: an INVITE that the user leaves without a response for so long is answered 100.
	tryingINVITE = 200 * time.Millisecond
	// RFC 4320 4.1: how long a Timer E takes to reach T2 (0.5 + 1 + 2 s); from then on 100 is due to a non-INVITE.
	tryingOther = T1 + 2*T1 + 4*T1
)

// state is a state of one of the four machines. The zero value is before the first event.
type state uint8

const (
	idle state = iota
	calling
	trying
	proceeding
	accepted
	completed
	confirmed
	terminated
	numStates
)

var stateNames = [numStates]string{"idle", "calling", "trying", "proceeding", "accepted", "completed", "confirmed", "terminated"}

func (s state) String() string { return stateNames[s] }

// event is what can happen to a transaction.
type event uint8

const (
	evNone event = iota

	evStart // client: the user hands over the request; server: the request has come

	// Client: a response has come. Server: the user hands over a response.
	ev1xx
	ev2xx
	ev3xx // 300 to 699

	evRequest // server: a retransmission of the request has come
	evAck     // server: an ACK that matches the INVITE has come

	evRetransmit // Timer A, E or G
	evLife       // the timer that ends the state: B, D, F, H, I, J, K, L, M; see the machine
	evTrying     // server: it is time for a 100 (17.2.1, RFC 4320 4.1)

	evTransport // the transport could not send
	numEvents
)

var eventNames = [numEvents]string{"none", "start", "1xx", "2xx", "3xx-6xx", "request", "ACK", "retransmit", "life", "trying", "transport error"}

func (e event) String() string { return eventNames[e] }

// eventOf returns the event of a response with this status.
func eventOf(status int) event {
	switch {
	case status < 200:
		return ev1xx
	case status < 300:
		return ev2xx
	}
	return ev3xx
}

// action is what a step asks the driver to do, as a set.
type action uint32

const (
	sendRequest  action = 1 << iota // send the stored request (again)
	sendAck                         // build the ACK and send it
	resendAck                       // send the stored ACK again
	sendResponse                    // store the user's response and send it
	passResponse                    // send the user's response without storing it
	resend                          // send the last response again, if there is one
	send100                         // build 100 (Trying), store and send it

	toUser        // the user gets the response (client) or the ACK (server)
	tellTimeout   // the user hears: Timeout
	tellTransport // the user hears: TransportFail
	tellCancel    // the user hears: CancelTimeout
	tellNoAck     // the user will find Unacknowledged when it hears that the transaction has ended

	startA  // Timer A, E or G: T1, on unreliable transports only
	doubleA // Timer A again with twice its value
	doubleE // Timer E or G again with twice its value, at most T2
	slowE   // Timer E again with T2
	stopA   // Timer A, E or G, and the one for 100, no longer run

	startB      // Timer B, F, H: 64*T1 on all transports
	startL      // Timer L, M: 64*T1 on all transports
	startD      // Timer D: 32 s; 0 on reliable transports
	startJ      // Timer J: 64*T1; 0 on reliable transports
	startK      // Timer I or K: T4; 0 on reliable transports
	stopB       // Timer B no longer runs
	startTrying // the timer for 100: 200 ms for INVITE, 3.5 s for others
)

var actionNames = [...]string{
	"sendRequest", "sendAck", "resendAck", "sendResponse", "passResponse", "resend", "send100",
	"toUser", "tellTimeout", "tellTransport", "tellCancel", "tellNoAck",
	"startA", "doubleA", "doubleE", "slowE", "stopA",
	"startB", "startL", "startD", "startJ", "startK", "stopB", "startTrying",
}

func (a action) String() string {
	s := ""
	for i, name := range actionNames {
		if a&(1<<i) != 0 {
			if s != "" {
				s += "|"
			}
			s += name
		}
	}
	return s
}
