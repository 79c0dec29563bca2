package transaction

import "testing"

// cell is one entry of a machine's table that is not empty.
type cell struct {
	in   state
	ev   event
	next state
	act  action
}

var inviteClientCells = []cell{
	{idle, evStart, calling, sendRequest | startA | startB},
	{calling, evRetransmit, calling, sendRequest | doubleA},
	{calling, evLife, terminated, tellTimeout},
	{calling, evTransport, terminated, tellTransport},
	{calling, ev1xx, proceeding, toUser | stopA | stopB},
	{calling, ev2xx, accepted, toUser | stopA | startL},
	{calling, ev3xx, completed, sendAck | toUser | stopA | startD},
	{proceeding, ev1xx, proceeding, toUser},
	{proceeding, ev2xx, accepted, toUser | startL},
	{proceeding, ev3xx, completed, sendAck | toUser | startD},
	{proceeding, evLife, terminated, tellCancel},
	{accepted, ev2xx, accepted, toUser},
	{accepted, evLife, terminated, 0},
	{completed, ev3xx, completed, resendAck},
	{completed, evLife, terminated, 0},
	{completed, evTransport, terminated, 0},
}

var clientCells = []cell{
	{idle, evStart, trying, sendRequest | startA | startB},
	{trying, evRetransmit, trying, sendRequest | doubleE},
	{trying, evLife, terminated, tellTimeout},
	{trying, evTransport, terminated, tellTransport},
	{trying, ev1xx, proceeding, toUser},
	{trying, ev2xx, completed, toUser | stopA | startK},
	{trying, ev3xx, completed, toUser | stopA | startK},
	{proceeding, evRetransmit, proceeding, sendRequest | slowE},
	{proceeding, evLife, terminated, tellTimeout},
	{proceeding, evTransport, terminated, tellTransport},
	{proceeding, ev1xx, proceeding, toUser},
	{proceeding, ev2xx, completed, toUser | stopA | startK},
	{proceeding, ev3xx, completed, toUser | stopA | startK},
	{completed, evLife, terminated, 0},
}

var inviteServerCells = []cell{
	{idle, evStart, proceeding, startTrying},
	{proceeding, evRequest, proceeding, resend},
	{proceeding, evTrying, proceeding, send100},
	{proceeding, ev1xx, proceeding, sendResponse | stopA},
	{proceeding, ev2xx, accepted, passResponse | stopA | startL},
	{proceeding, ev3xx, completed, sendResponse | startA | startB},
	{accepted, ev2xx, accepted, passResponse},
	{accepted, evAck, accepted, toUser},
	{accepted, evLife, terminated, 0},
	{completed, evRequest, completed, resend},
	{completed, evRetransmit, completed, resend | doubleE},
	{completed, evAck, confirmed, stopA | startK},
	{completed, evLife, terminated, tellNoAck},
	{confirmed, evLife, terminated, 0},
}

var serverCells = []cell{
	{idle, evStart, trying, startTrying | startB},
	{trying, evTrying, proceeding, send100},
	{trying, ev1xx, proceeding, sendResponse | stopA},
	{trying, ev2xx, completed, sendResponse | stopA | startJ},
	{trying, ev3xx, completed, sendResponse | stopA | startJ},
	{trying, evLife, terminated, 0},
	{proceeding, evRequest, proceeding, resend},
	{proceeding, ev1xx, proceeding, sendResponse},
	{proceeding, ev2xx, completed, sendResponse | startJ},
	{proceeding, ev3xx, completed, sendResponse | startJ},
	{proceeding, evLife, terminated, 0},
	{completed, evRequest, completed, resend},
	{completed, evLife, terminated, 0},
}

// TestMachines looks at every (state, event) of the four machines: the cells listed do what is listed, all others
// absorb the event.
func TestMachines(t *testing.T) {
	for _, m := range []struct {
		name  string
		step  func(state, event) (state, action)
		cells []cell
	}{
		{"INVITE client", inviteClient, inviteClientCells},
		{"non-INVITE client", client, clientCells},
		{"INVITE server", inviteServer, inviteServerCells},
		{"non-INVITE server", server, serverCells},
	} {
		t.Run(m.name, func(t *testing.T) {
			for s := idle; s < numStates; s++ {
				for ev := evNone; ev < numEvents; ev++ {
					want := cell{s, ev, s, 0}
					for _, c := range m.cells {
						if c.in == s && c.ev == ev {
							want = c
						}
					}
					next, act := m.step(s, ev)
					if next != want.next || act != want.act {
						t.Errorf("%v, %v: got %v [%v], want %v [%v]", s, ev, next, act, want.next, want.act)
					}
				}
			}
		})
	}
}

// TestMachinesEnd walks every path of events through each machine: no state but terminated is without a timer or user
// event that leaves it, and terminated is never left.
func TestMachinesEnd(t *testing.T) {
	for _, m := range []struct {
		name string
		step func(state, event) (state, action)
	}{
		{"INVITE client", inviteClient}, {"non-INVITE client", client},
		{"INVITE server", inviteServer}, {"non-INVITE server", server},
	} {
		reached := map[state]bool{idle: true}
		queue := []state{idle}
		leads := map[state][]state{}
		for len(queue) > 0 {
			s := queue[0]
			queue = queue[1:]
			for ev := evNone; ev < numEvents; ev++ {
				next, _ := m.step(s, ev)
				if next != s {
					leads[s] = append(leads[s], next)
				}
				if !reached[next] {
					reached[next] = true
					queue = append(queue, next)
				}
			}
		}
		if !reached[terminated] {
			t.Errorf("%s: terminated is never reached", m.name)
		}
		for s := range reached {
			if s != terminated && len(leads[s]) == 0 {
				t.Errorf("%s: %v is never left", m.name, s)
			}
		}
		if len(leads[terminated]) > 0 {
			t.Errorf("%s: terminated is left for %v", m.name, leads[terminated])
		}
	}
}
