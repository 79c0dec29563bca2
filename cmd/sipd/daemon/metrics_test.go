package daemon

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// untold are the fields of /status that are no metrics.
var untold = map[string]string{
	"problems":                     "a text",
	"down_hops.until":              "it is over within minutes",
	"resolver.servers.last_err":    "a text",
	"resolver.servers.last_err_at": "name_server_failed_total grows",
	"locator.last_err":             "a text",
	"locator.last_err_at":          "locator_failed_total grows",
	"certificate.err_since":        "when certificate_refused became 1",
	"gateways.id":                  "a name is better",
	"gateways.reason":              "a text",
	"gateways.uri":                 "a text",
	"gateways.name":                "a label",
	"gateways.state":               "a label",
	"down_hops.hop":                "a label",
	"down_hops.domain":             "a label",
	"down_hops.reason":             "a text",
	"certificate.names":            "a text",
	"locator.locator":              "a text",
	"resolver.servers.addr":        "a label",
}

// leaf is a field of the status, or of one of its parts.
type leaf struct {
	path string
	v    reflect.Value
}

// leaves finds the fields, makes the parts that may be missing, and lists of one.
func leaves(path string, v reflect.Value) (list []leaf) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return leaves(path, v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		return leaves(path, v.Index(0))
	case reflect.Struct:
		switch v.Interface().(type) {
		case time.Time, netip.AddrPort:
			return []leaf{{path, v}}
		}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
			list = append(list, leaves(strings.TrimPrefix(path+"."+name, "."), v.Field(i))...)
		}
		return list
	}
	return []leaf{{path, v}}
}

// scrape reads the page as a monitor does, and returns the values and the page.
func scrape(t *testing.T, s *status) (values []float64, page string) {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(newFigures(func() status { return *s }))
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var text bytes.Buffer
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&text, f); err != nil {
			t.Fatal(err)
		}
		for _, m := range f.GetMetric() {
			values = append(values, m.GetGauge().GetValue()+m.GetCounter().GetValue())
		}
	}
	return values, text.String()
}

// TestMetricsAreComplete: whatever /status tells in numbers is on /metrics, too.
func TestMetricsAreComplete(t *testing.T) {
	var s status
	want := map[string]float64{}
	var flags []leaf
	seen := map[string]bool{}
	all := leaves("", reflect.ValueOf(&s).Elem())
	for i, l := range all {
		seen[l.path] = true
		if untold[l.path] != "" {
			continue
		}
		n := 1_000_000 + 1000*i
		want[l.path] = float64(n)
		switch v := l.v; v.Kind() {
		case reflect.Int, reflect.Int64:
			v.SetInt(int64(n))
		case reflect.Uint64:
			v.SetUint(uint64(n))
		case reflect.Float64:
			v.SetFloat(float64(n))
			if strings.HasSuffix(l.path, "_ms") {
				want[l.path] /= 1000
			}
		case reflect.Struct:
			v.Set(reflect.ValueOf(time.Unix(int64(n), 0)))
		case reflect.Bool, reflect.String:
			delete(want, l.path)
			flags = append(flags, l)
		default:
			t.Errorf("%s: a %v, which this test does not know", l.path, v.Kind())
		}
	}
	if len(want) < 40 || len(flags) < 6 {
		t.Fatalf("got %d numbers and %d flags, want those of the status", len(want), len(flags))
	}
	for path := range untold {
		if !seen[path] {
			t.Errorf("%s: there is no such field", path)
		}
	}
	values, page := scrape(t, &s)
	for path, n := range want {
		if !slices.Contains(values, n) {
			t.Errorf("%s: got no metric of it; add one to metrics.go, or say in untold why not", path)
		}
	}
	for _, l := range flags {
		if l.v.Kind() == reflect.Bool {
			l.v.SetBool(true)
		} else {
			l.v.SetString("x")
		}
		if _, changed := scrape(t, &s); changed == page {
			t.Errorf("%s: got the same page whether it is set or not; add a metric, or say in untold why not", l.path)
		}
		l.v.SetZero()
	}
}

// TestMetricsPage reads the page with the library's parser.
func TestMetricsPage(t *testing.T) {
	hop := downHop{Hop: "udp:192.0.2.1:5060", Domain: "b\xff\"\n.example", Since: time.Unix(7, 0)}
	s := status{
		Users: 3, ServerTransactions: 4, ClientTransactions: 5, DroppedMessages: 6, Descriptors: -1, DownHops: []downHop{hop, hop},
		Certificate: &certificateState{DaysLeft: -0.5, NotAfter: time.Unix(1_800_000_000, 0)},
		Gateways:    []gatewayState{{Name: "gw1", State: "degraded"}, {Name: "gw2", State: "up", Answered: &noon, Latency: 12.5}},
	}
	reads := 0
	log := &bytes.Buffer{}
	h := metricsPage(func() status { reads++; return s }, slog.New(slog.NewTextHandler(log, nil)))
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != 200 || reads != 1 || log.Len() != 0 {
		t.Fatalf("got %d after %d reads, want 200 after one:\n%s%s", w.Code, reads, log, w.Body)
	}
	page := w.Body.String()
	for _, line := range []string{
		"# TYPE sipd_users gauge", "sipd_users 3", `sipd_transactions{side="server"} 4`, `sipd_transactions{side="client"} 5`,
		"# TYPE sipd_otherwise_discarded_messages_total counter", "sipd_otherwise_discarded_messages_total 6",
		"sipd_down_hops 2", `sipd_down_hop_since_timestamp_seconds{domain="b?\"\n.example",hop="udp:192.0.2.1:5060"} 7`,
		"sipd_certificate_days_left -0.5", "sipd_certificate_not_after_timestamp_seconds 1.8e+09", "sipd_certificate_refused 0",
		`sipd_gateway_state{gateway="gw1",state="up"} 0`, `sipd_gateway_state{gateway="gw1",state="degraded"} 1`,
		`sipd_gateway_probe_latency_seconds{gateway="gw2"} 0.0125`,
	} {
		if !slices.Contains(strings.Split(page, "\n"), line) {
			t.Errorf("got no line %s in\n%s", line, page)
		}
	}
	for _, name := range []string{"sipd_open_descriptors", "sipd_locator_down", "sipd_certificate_not_before", `sipd_gateway_probe_latency_seconds{gateway="gw1"}`} {
		if strings.Contains(page, name) {
			t.Errorf("got %s, want nothing told of what is not known", name)
		}
	}
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(page))
	if err != nil {
		t.Fatal(err)
	}
	if families["process_start_time_seconds"] == nil || len(families["sipd_gateway_state"].GetMetric()) != 8 {
		t.Errorf("got %d metrics, want the start of the process, and four states of two gateways:\n%s", len(families), page)
	}
	problems, err := promlint.New(strings.NewReader(page)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if p.Metric != "sipd_certificate_days_left" { // Days are what people count certificates in.
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}
