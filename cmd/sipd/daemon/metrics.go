package daemon

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"sipd/server/gateway"
)

// scrapesAtOnce is how many read the page /metrics at the same time: a monitor, its double, and somebody who looks.
const scrapesAtOnce = 8

// metricsPage answers /metrics: the numbers of status, and what the process has used.
func metricsPage(status func() status, log *slog.Logger) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(newFigures(status), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError, // Half of the numbers are better than none.
		MaxRequestsInFlight: scrapesAtOnce,
		DisableCompression:  true, // The reader is near.
	})
}

// figures is a prometheus.Collector that reads the state once a scrape.
type figures struct {
	status func() status
	list   []figure
}

// figure is one of them, with its labels.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
	read func(*status, tell)
}

// tell takes a value, with the values of the labels.
type tell func(v float64, labels ...string)

func newFigures(read func() status) *figures {
	m := &figures{status: read}
	m.server()
	m.peers()
	m.gateways()
	m.process()
	return m
}

// Describe is of prometheus.Collector.
func (m *figures) Describe(out chan<- *prometheus.Desc) {
	for _, e := range m.list {
		out <- e.desc
	}
}

// Collect is of prometheus.Collector. What is there twice is told once: the library would give up the whole page.
func (m *figures) Collect(out chan<- prometheus.Metric) {
	s := m.status()
	for _, e := range m.list {
		told := map[string]bool{}
		e.read(&s, func(v float64, labels ...string) {
			for i := range labels {
				labels[i] = strings.ToValidUTF8(labels[i], "?")
			}
			if key := strings.Join(labels, "\xff"); !told[key] {
				told[key] = true
				out <- prometheus.MustNewConstMetric(e.desc, e.kind, v, labels...)
			}
		})
	}
}

// each adds a metric with labels. One whose name ends in _total only grows.
func (m *figures) each(name, help string, labels []string, read func(*status, tell)) {
	kind := prometheus.GaugeValue
	if strings.HasSuffix(name, "_total") {
		kind = prometheus.CounterValue
	}
	m.list = append(m.list, figure{prometheus.NewDesc("sipd_"+name, help, labels, nil), kind, read})
}

// one adds a metric without labels.
func (m *figures) one(name, help string, value func(*status) float64) {
	m.each(name, help, nil, func(s *status, tell tell) { tell(value(s)) })
}

// server adds what is in the tables, in progress and dropped.
func (m *figures) server() {
	m.one("users", "Users in the tables.", func(s *status) float64 { return float64(s.Users) })
	m.one("domains", "Domains in the tables.", func(s *status) float64 { return float64(s.Domains) })
	m.one("aliases", "Aliases in the tables.", func(s *status) float64 { return float64(s.Aliases) })
	m.one("tables_current_timestamp_seconds", "When the tables in memory were those of the database.", func(s *status) float64 { return unix(s.Tables) })
	m.one("tables_failed", "1: the tables could not be read, and the old ones are in force.", func(s *status) float64 { return flag(s.TablesErr != "") })
	m.one("database_watching", "1: the database tells of its changes.", func(s *status) float64 { return flag(s.Watching) })
	m.one("database_away", "1: the database is away, and registrations are refused.", func(s *status) float64 { return flag(s.Away) })
	m.one("problem_rows", "Rows of the tables that cannot be used.", func(s *status) float64 { return float64(s.ProblemRows) })
	m.each("transactions", "Transactions, with those that only answer retransmissions.", []string{"side"}, func(s *status, tell tell) {
		tell(float64(s.ServerTransactions), "server")
		tell(float64(s.ClientTransactions), "client")
	})
	m.one("oldest_transaction_seconds", "Age of the oldest server transaction; a call that rings lives for minutes.", func(s *status) float64 { return float64(s.OldestSeconds) })
	m.one("open_requests", "Requests received that have no final response yet.", func(s *status) float64 { return float64(s.OpenRequests) })
	m.one("response_contexts", "Response contexts of the proxy (RFC 3261 16).", func(s *status) float64 { return float64(s.ResponseContexts) })
	m.one("answered_contexts", "What is left of response contexts after a 2xx.", func(s *status) float64 { return float64(s.AnsweredContexts) })
	m.one("otherwise_discarded_messages_total", "Messages without a response, because they were malformed or of no transaction (RFC 4780, sipCommonOtherStatsOtherwiseDiscardedMsgs).",
		func(s *status) float64 { return float64(s.DroppedMessages) })
	m.one("connections", "Open connections over TCP and TLS.", func(s *status) float64 { return float64(s.Connections) })
	m.one("connections_kept", "Connections that bindings are reached over.", func(s *status) float64 { return float64(s.ConnectionsKept) })
	m.one("dropped_datagrams_total", "Datagrams that could not be sent.", func(s *status) float64 { return float64(s.DroppedDatagrams) })
	m.one("log_waiting_rows", "Rows of the request log that wait to be written.", func(s *status) float64 { return float64(s.LogWaiting) })
	m.one("log_written_rows_total", "Rows of the request log written.", func(s *status) float64 { return float64(s.LogWritten) })
	m.one("log_dropped_rows_total", "Rows of the request log lost, because too many waited.", func(s *status) float64 { return float64(s.LogDropped) })
}

// peers adds next hops and who is asked for them, and the certificate. Reasons of failures are no labels: their texts have no bound.
func (m *figures) peers() {
	m.one("down_hops", "Next hops that have failed lately; 100 stands for any more, too.", func(s *status) float64 { return float64(len(s.DownHops)) })
	m.each("down_hop_since_timestamp_seconds", "When a next hop that is down failed first; a hundred of them at most.", []string{"hop", "domain"}, func(s *status, tell tell) {
		for _, h := range s.DownHops {
			tell(unix(h.Since), h.Hop, h.Domain)
		}
	})

	m.one("resolver_look_ups", "Look-ups of next hops under way.", func(s *status) float64 { return float64(s.Resolver.LookUps) })
	m.one("resolver_queued_look_ups", "Look-ups of next hops that wait for their turn.", func(s *status) float64 { return float64(s.Resolver.Queued) })
	m.one("resolver_waiting_calls", "Calls that wait for look-ups.", func(s *status) float64 { return float64(s.Resolver.Waiting) })
	m.one("resolver_refused_calls_total", "Calls that found too many others waiting for look-ups, and got 500.", func(s *status) float64 { return float64(s.Resolver.Refused) })
	m.one("resolver_cache_entries", "Names in memory, with those known not to exist.", func(s *status) float64 { return float64(s.Resolver.CacheEntries) })
	m.one("resolver_cache_bytes", "Size of the names in memory.", func(s *status) float64 { return float64(s.Resolver.CacheBytes) })
	server := func(name, help string, value func(nameServer) float64) {
		m.each("name_server_"+name, help, []string{"server"}, func(s *status, tell tell) {
			for _, n := range s.Resolver.Servers {
				tell(value(n), n.Addr.String())
			}
		})
	}
	server("answered_total", "Questions that a name server answered.", func(n nameServer) float64 { return float64(n.Answered) })
	server("failed_total", "Questions that a name server did not answer.", func(n nameServer) float64 { return float64(n.Failed) })
	server("silent", "1: a name server gave no answer lately and is asked after the others.", func(n nameServer) float64 { return flag(n.Silent) })

	locator := func(name, help string, value func(*locatorState) float64) {
		m.each("locator_"+name, help, nil, func(s *status, tell tell) {
			if s.Locator != nil {
				tell(value(s.Locator))
			}
		})
	}
	locator("answered_total", "Questions that the locator answered.", func(l *locatorState) float64 { return float64(l.Answered) })
	locator("failed_total", "Questions that the locator did not answer.", func(l *locatorState) float64 { return float64(l.Failed) })
	locator("down", "1: the locator keeps failing and is left alone for a while.", func(l *locatorState) float64 { return flag(l.Down) })
	locator("running_questions", "Questions to the locator under way.", func(l *locatorState) float64 { return float64(l.Running) })
	locator("queued_questions", "Questions to the locator that wait for their turn.", func(l *locatorState) float64 { return float64(l.Queued) })
	locator("waiting_calls", "Calls that wait for the locator.", func(l *locatorState) float64 { return float64(l.Waiting) })
	locator("refused_calls_total", "Calls that found too many others waiting, and went on without the locator.", func(l *locatorState) float64 { return float64(l.Refused) })
	locator("cache_entries", "Answers of the locator in memory.", func(l *locatorState) float64 { return float64(l.CacheEntries) })
	locator("cache_bytes", "Size of the answers in memory.", func(l *locatorState) float64 { return float64(l.CacheBytes) })

	certificate := func(name, help string, read func(*certificateState, tell)) {
		m.each("certificate_"+name, help, nil, func(s *status, tell tell) {
			if s.Certificate != nil {
				read(s.Certificate, tell)
			}
		})
	}
	certificate("days_left", "Days until the certificate ends; below 0 it has ended.", func(c *certificateState, tell tell) { tell(c.DaysLeft) })
	certificate("not_after_timestamp_seconds", "When the certificate ends.", func(c *certificateState, tell tell) { tell(unix(c.NotAfter)) })
	certificate("not_before_timestamp_seconds", "When the certificate begins; told only until then.", func(c *certificateState, tell tell) {
		if c.Begins != nil {
			tell(unix(*c.Begins))
		}
	})
	certificate("refused", "1: the files have a newer certificate that cannot be used.", func(c *certificateState, tell tell) { tell(flag(c.Err != "")) })
}

// gateways adds what is known of each gateway; the rows of the table bound how many there are.
func (m *figures) gateways() {
	each := func(name, help string, read func(*gatewayState, tell), labels ...string) {
		m.each("gateway_"+name, help, append([]string{"gateway"}, labels...), func(s *status, tell tell) {
			for i := range s.Gateways {
				g := &s.Gateways[i]
				read(g, func(v float64, labels ...string) { tell(v, append([]string{g.Name}, labels...)...) })
			}
		})
	}
	each("state", "1 for the state that a gateway is in, 0 for the others.", func(g *gatewayState, tell tell) {
		for c := gateway.Up; c <= gateway.Drained; c++ {
			tell(flag(g.State == c.String()), c.String())
		}
	}, "state")
	each("state_since_timestamp_seconds", "Since when a gateway is in its state.", func(g *gatewayState, tell tell) { tell(unix(g.Since)) })
	each("calls", "Calls in progress over a gateway, of those that began since the start.", func(g *gatewayState, tell tell) { tell(float64(g.Calls)) })
	each("max_calls", "How many calls a gateway takes; not told when it takes any number.", func(g *gatewayState, tell tell) {
		if g.MaxCalls > 0 {
			tell(float64(g.MaxCalls))
		}
	})
	each("probe_interval_seconds", "How often a gateway gets OPTIONS; not told when it gets none.", func(g *gatewayState, tell tell) {
		if g.Probe > 0 {
			tell(float64(g.Probe))
		}
	})
	each("probe_answer_timestamp_seconds", "When a gateway answered OPTIONS last.", func(g *gatewayState, tell tell) {
		if g.Answered != nil {
			tell(unix(*g.Answered))
		}
	})
	each("probe_latency_seconds", "How long that answer took.", func(g *gatewayState, tell tell) {
		if g.Answered != nil {
			tell(g.Latency / 1000)
		}
	})
}

// process adds what the program itself is made of.
func (m *figures) process() {
	m.one("panics_total", "Faults of sipd that were caught; please report them.", func(s *status) float64 { return float64(s.Panics) })
	m.one("goroutines", "Goroutines.", func(s *status) float64 { return float64(s.Goroutines) })
	m.each("open_descriptors", "Open files and sockets.", nil, func(s *status, tell tell) {
		if s.Descriptors >= 0 {
			tell(float64(s.Descriptors))
		}
	})
	m.one("live_bytes", "Memory that the last collection found in use.", func(s *status) float64 { return float64(s.LiveBytes) })
	m.one("heap_bytes", "Memory in use, and the garbage since the last collection.", func(s *status) float64 { return float64(s.HeapBytes) })
	m.one("memory_bytes", "Memory taken from the system.", func(s *status) float64 { return float64(s.MemoryBytes) })
	m.one("collections_total", "Collections of garbage.", func(s *status) float64 { return float64(s.Collections) })
}

// unix is a time as the page has it.
func unix(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }

// flag is a truth as the page has it.
func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
