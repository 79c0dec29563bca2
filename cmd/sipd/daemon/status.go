package daemon

import (
	"encoding/json"
	"log/slog"
	"os"
	"reflect"
	"runtime/metrics"
	"strconv"
	"strings"
	"time"
)

// status is the state of the server in numbers: the page /status, and what USR2 writes to the log.
type status struct {
	Users       int       `json:"users"`
	Domains     int       `json:"domains"`
	Aliases     int       `json:"aliases"`
	Tables      time.Time `json:"tables_current"`
	Watching    bool      `json:"watching"` // the database tells of its changes
	TablesErr   string    `json:"tables_err,omitempty"`
	ProblemRows int       `json:"problem_rows"`
	Problems    []string  `json:"problems,omitempty"` // the first of them: table, row and what is wrong
	Away        bool      `json:"database_away"`      // registrations are refused

	ServerTransactions int   `json:"server_transactions"`
	ClientTransactions int   `json:"client_transactions"`
	OldestSeconds      int   `json:"oldest_transaction_s"` // of the server transactions; a call that rings lives for minutes
	OpenRequests       int   `json:"open_requests"`        // without a final response
	ResponseContexts   int   `json:"response_contexts"`
	AnsweredContexts   int   `json:"answered_contexts"` // what is left of contexts after a 2xx
	DroppedMessages    int64 `json:"dropped_messages"`  // malformed or stray

	Connections      int    `json:"connections"`
	ConnectionsKept  int    `json:"connections_kept"` // bindings are reached over them; they may be idle
	DroppedDatagrams uint64 `json:"dropped_datagrams"`
	LogWaiting       int    `json:"log_waiting"` // rows of the request log
	LogWritten       uint64 `json:"log_written"`
	LogDropped       uint64 `json:"log_dropped"`

	DownHops    []downHop         `json:"down_hops"` // next hops that have failed lately
	Resolver    resolverState     `json:"resolver"`
	Locator     *locatorState     `json:"locator,omitempty"`
	Certificate *certificateState `json:"certificate"` // null: no TLS
	Gateways    []gatewayState    `json:"gateways,omitempty"`

	Panics      int64  `json:"panics"` // caught; anything but 0 is a fault of ours
	Goroutines  uint64 `json:"goroutines"`
	Descriptors int    `json:"descriptors"` // -1: not known here
	LiveBytes   uint64 `json:"live_bytes"`  // what the last collection found in use
	HeapBytes   uint64 `json:"heap_bytes"`  // that, and the garbage since
	MemoryBytes uint64 `json:"memory_bytes"`
	Collections uint64 `json:"collections"`
}

// shownProblems bounds how many rows that cannot be used the page names: USR2 writes them all to the log.
const shownProblems = 20

// status reads the numbers. It stops nothing.
func (d *daemon) status() status {
	now := time.Now()
	c, s, names := d.cache.Status(), d.server.Status(), d.resolver.Status(now)
	st := status{
		Users: c.Users, Domains: c.Domains, Aliases: c.Aliases, Tables: c.Current, Watching: c.Watching, ProblemRows: len(c.Problems), Away: d.location.Away(),
		ServerTransactions: s.ServerTransactions, ClientTransactions: s.ClientTransactions, OpenRequests: s.OpenRequests,
		OldestSeconds:    int(d.server.Oldest() / time.Second),
		ResponseContexts: s.Contexts, AnsweredContexts: s.Afterlives, DroppedMessages: s.Dropped,
		Connections: d.sockets.Conns(), ConnectionsKept: d.sockets.Kept(), DroppedDatagrams: d.sockets.Dropped(),
		DownHops: downHops(d.server.Down()), Resolver: resolverStateOf(names), Certificate: d.certificateState(now),
		Gateways: gatewayStates(d.server.Gateways().List(now)),
		Panics:   s.Panics + int64(d.sockets.Panics()) + names.Panics, Descriptors: descriptors(),
	}
	if setting, l, ok := d.answers.Status(now); ok {
		st.Locator = locatorStateOf(setting, l)
		st.Panics += l.Panics
	}
	for _, p := range c.Problems[:min(len(c.Problems), shownProblems)] {
		st.Problems = append(st.Problems, p.Error())
	}
	if c.Err != nil {
		st.TablesErr = c.Err.Error()
	}
	if d.requests != nil {
		st.LogWaiting, st.LogWritten, st.LogDropped = d.requests.Counts()
	}
	read := []metrics.Sample{{Name: "/sched/goroutines:goroutines"}, {Name: liveMetric}, {Name: "/memory/classes/heap/objects:bytes"},
		{Name: totalMetric}, {Name: releasedMetric}, {Name: cycleMetric}}
	metrics.Read(read)
	st.Goroutines, st.LiveBytes, st.HeapBytes = read[0].Value.Uint64(), read[1].Value.Uint64(), read[2].Value.Uint64()
	st.MemoryBytes, st.Collections = read[3].Value.Uint64()-read[4].Value.Uint64(), read[5].Value.Uint64()
	return st
}

// certificateState is nil without TLS.
func (d *daemon) certificateState(now time.Time) *certificateState {
	if d.certificate == nil {
		return nil
	}
	return certificateStateOf(d.certificate.Status(now))
}

// attrs are the numbers for the log, under the same names; what has parts is written as the page has it.
func (s status) attrs() (list []slog.Attr) {
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		value := v.Field(i).Interface()
		switch value.(type) {
		case []downHop, resolverState, *locatorState, *certificateState, []gatewayState:
			text, err := json.Marshal(value)
			if err != nil {
				text = []byte(strconv.Quote(err.Error()))
			}
			value = json.RawMessage(text)
		}
		list = append(list, slog.Any(name, value))
	}
	return list
}

// descriptors counts the open files of this process; the one to count them with is not among them.
func descriptors() int {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return -1
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return -1
	}
	return len(names) - 1
}
