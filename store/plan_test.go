package store_test

import (
	"errors"
	"strings"
	"testing"

	"sipd/store"
)

// checkable is a row that is brought into the form of its table.
type checkable interface{ Normalize() error }

func TestCheckGatewaysAndPlanTests(t *testing.T) {
	long := strings.Repeat("x", 600)
	for _, tt := range []struct {
		name string
		row  checkable
		says string // "" is no error
	}{
		{"gateway", &store.Gateway{Name: "GW1.", URI: "sips:gw.example.com:5071", SourceNets: "192.0.2.1 2001:DB8::/32", TLSName: "GW.example.com", InboundClassID: 1, ProbeSeconds: 5}, ""},
		{"no name", &store.Gateway{URI: "sip:192.0.2.1"}, "gateway is empty"},
		{"blank", &store.Gateway{Name: "gw 1", URI: "sip:192.0.2.1"}, "letters, digits"},
		{"underscore", &store.Gateway{Name: "gw_1", URI: "sip:192.0.2.1"}, "letters, digits, dots and hyphens"},
		{"tel", &store.Gateway{Name: "gw", URI: "tel:+1"}, "write a sip or sips URI"},
		{"user", &store.Gateway{Name: "gw", URI: "sip:a@192.0.2.1"}, "has a user"},
		{"headers", &store.Gateway{Name: "gw", URI: "sip:192.0.2.1?Subject=x"}, "follows the ?"},
		{"nets", &store.Gateway{Name: "gw", URI: "sip:192.0.2.1", SourceNets: "0.0.0.0/0"}, "is everybody"},
		{"certificate", &store.Gateway{Name: "gw", URI: "sip:192.0.2.1", TLSName: "192.0.2.1"}, "is an address"},
		{"class of whom", &store.Gateway{Name: "gw", URI: "sip:192.0.2.1", InboundClassID: 1}, "which are its own"},
		{"probe", &store.Gateway{Name: "gw", URI: "sip:192.0.2.1", ProbeSeconds: 4}, "write 5 to 86400"},
		{"calls", &store.Gateway{Name: "gw", URI: "sip:192.0.2.1", MaxCalls: -1}, "max_calls"},
		{"weight", &store.Gateway{Name: "gw", URI: "sip:192.0.2.1", Weight: 65536}, "write 1 to 65535"},
		{"comment", &store.Gateway{Name: "gw", URI: "sip:192.0.2.1", Comment: long}, "at most 500"},

		{"test", &store.PlanTest{Number: "7042", Class: "null", Expect: " NoMatch "}, ""},
		{"no number", &store.PlanTest{Expect: "denied"}, "without a number"},
		{"any class", &store.PlanTest{Number: "1", Class: "*", Expect: "denied"}, "the class of one caller"},
		{"nothing", &store.PlanTest{Number: "1"}, "write denied, nomatch"},
		{"no URI", &store.PlanTest{Number: "1", Expect: "sip:a@b gw"}, "expected of 1"},
		{"too many", &store.PlanTest{Number: "1", Expect: strings.Repeat("sip:a@b ", 33)}, "at most 32"},
		{"long number", &store.PlanTest{Number: long, Expect: "denied"}, "at most 255"},
	} {
		err := tt.row.Normalize()
		if tt.says == "" && err != nil || tt.says != "" && (!errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.says)
		}
	}
	g := &store.Gateway{Name: "GW1.", URI: "sip:x", SourceNets: "192.0.2.1\t2001:DB8::/32", TLSName: "GW.example.com."}
	if err := g.Normalize(); err != nil || g.Name != "gw1" || g.SourceNets != "192.0.2.1, 2001:db8::/32" || g.TLSName != "gw.example.com" {
		t.Errorf("got %+v, %v", g, err)
	}
	pt := &store.PlanTest{Number: "7042", Class: "null", Expect: " NoMatch "}
	if err := pt.Normalize(); err != nil || pt.Class != "" || pt.Expect != store.ExpectNoMatch {
		t.Errorf("got %+v, %v", pt, err)
	}
}

func TestCheckRulesAndForwards(t *testing.T) {
	for _, tt := range []struct {
		name string
		row  interface{ Check() error }
		says string
	}{
		{"rule", &store.DialRule{Pattern: "7???", Target: "tel:+1$"}, ""},
		{"position", &store.DialRule{Position: -1, Pattern: "7", Target: "tel:+1"}, "position -1"},
		{"pattern", &store.DialRule{Pattern: "7)", Target: "tel:+1"}, "column 2"},
		{"target", &store.DialRule{Pattern: "7", Target: "sip:a b"}, "column 6"},
		{"control character", &store.DialRule{Pattern: "7", Target: "tel:1", Comment: "a\nb"}, "control character"},
		{"map", &store.GatewayRule{Pattern: "7", Classes: "a,b", Target: "sip:$@gw"}, ""},
		{"no class", &store.GatewayRule{Pattern: "7", Target: "sip:$@gw"}, "a class is empty"},
		{"NULL", &store.GatewayRule{Pattern: "7", Classes: "NULL", Target: "sip:$@gw"}, "NULL is no class"},
		{"weight", &store.GatewayRule{Pattern: "7", Classes: "*", Target: "sip:$@gw", Weight: -1}, "weight -1"},
		{"many classes", &store.GatewayRule{Pattern: "7", Classes: strings.Repeat("x", 5000), Target: "sip:$@gw"}, "at most 4096"},
		{"forward", &store.Forward{Kind: store.ForwardNoAnswer, Target: "tel:+1212", Timeout: 180}, ""},
		{"kind", &store.Forward{Kind: 4, Target: "tel:+1212"}, "out of range"},
		{"long", &store.Forward{Kind: store.ForwardNoAnswer, Target: "tel:+1212", Timeout: 181}, "write 1 to 180"},
		{"other", &store.Forward{Target: "mailto:a@b"}, "write a sip or sips URI"},
		{"self-alias", &store.Alias{Alias: "a@b", PrimaryUser: "a@b"}, "is the user himself"},
		{"ring of an alias", &store.Alias{Alias: "a@b", PrimaryUser: "c@b", RingMode: store.Serial}, "only members of a group"},
		{"delay", &store.Alias{Alias: "a@b", PrimaryUser: "c@b", Kind: store.Group, Delay: 181}, "write 0 to 180"},
		{"audit", &store.AuditEntry{Actor: "os:a", Action: "x", Detail: strings.Repeat("ä", 8192)}, ""},
		{"nobody", &store.AuditEntry{Action: "x"}, "without an actor"},
	} {
		err := tt.row.Check()
		if tt.says == "" && err != nil || tt.says != "" && (!errors.Is(err, store.ErrInvalid) || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.says)
		}
	}
	e := &store.AuditEntry{Actor: "os:a", Action: "x", Detail: strings.Repeat("ä", 8192)}
	if err := e.Check(); err != nil || len(e.Detail) != 8192 {
		t.Errorf("got %d bytes, %v; want it cut at 8192", len(e.Detail), err)
	}
}

// TestCheckNamesRowsOfTables: who changes one thing is told where the row is that somebody else has spoilt.
func TestCheckNamesRowsOfTables(t *testing.T) {
	for want, p := range map[string]*store.PlanRows{
		"row 7 of dialplan, which `sipd dialplan rm 7` removes: ": {DialRules: []store.DialRule{{ID: 7, Pattern: "(1", Target: "tel:+1"}}},
		"row 8 of gatewaymap, which `sipd gatewaymap rm 8` removes: ": {
			GatewayRules: []store.GatewayRule{{ID: 8, Pattern: "1", Classes: "*", Target: "sip:$@"}}},
		"row 9 of gatewaymap, which `sipd gatewaymap rm 9` removes: store: invalid value: rule 1 staff sip:$@a.example: there is no gateway class staff": {
			GatewayRules: []store.GatewayRule{{ID: 9, Pattern: "1", Classes: "staff", Target: "sip:$@a.example"}}},
		"store: invalid value: ": {DialRules: []store.DialRule{{Pattern: "(1", Target: "tel:+1"}}}, // It comes with the command.
	} {
		err := p.Check(&store.PlanRows{})
		if err == nil || !strings.HasPrefix(err.Error(), want) || !errors.Is(err, store.ErrInvalid) {
			t.Errorf("got %v, want %s...", err, want)
		}
	}
}

// TestCheckOfWhatIsChanged: what SQL has spoilt hinders who changes the rules of that table, and nobody else.
func TestCheckOfWhatIsChanged(t *testing.T) {
	rows := func() *store.PlanRows {
		return &store.PlanRows{
			Classes:      []store.GatewayClass{{ID: 1, Name: "staff"}, {ID: 2, Name: "a b"}},
			DialRules:    []store.DialRule{{ID: 1, Pattern: "(1", Target: "tel:+1"}},
			GatewayRules: []store.GatewayRule{{ID: 1, Pattern: "1", Classes: "nobody", Target: "sip:$@gw1"}},
			Gateways:     []store.Gateway{{ID: 1, Name: "gw1", URI: "sip:192.0.2.1"}, {ID: 2, Name: "gw2", URI: "tel:1"}},
		}
	}
	for _, tt := range []struct {
		name string
		do   func(*store.PlanRows)
		says string // "" for nothing
	}{
		{"nothing", func(*store.PlanRows) {}, ""},
		{"a gateway is drained", func(p *store.PlanRows) { p.Gateways[0].Drained = true }, ""},
		{"the bad gateway is drained", func(p *store.PlanRows) { p.Gateways[1].Drained = true }, "gw2"},
		{"a gateway with a class that is not there", func(p *store.PlanRows) { p.Gateways[0].SourceNets, p.Gateways[0].InboundClassID = "192.0.2.1", 3 }, "no class with id 3"},
		{"another rule of the dial plan", func(p *store.PlanRows) {
			p.DialRules = append(p.DialRules, store.DialRule{Pattern: "2", Target: "tel:+2"})
		}, "row 1 of dialplan"},
		{"the bad rule goes", func(p *store.PlanRows) { p.DialRules = nil }, ""},
		{"another rule of the gateway map", func(p *store.PlanRows) { p.GatewayRules[0].Weight = 2 }, "row 1 of gatewaymap"},
		{"the class that was missing", func(p *store.PlanRows) { p.Classes = append(p.Classes, store.GatewayClass{Name: "nobody"}) }, ""},
		{"another class", func(p *store.PlanRows) { p.Classes = append(p.Classes, store.GatewayClass{Name: "student"}) }, "row 1 of gatewaymap"},
		{"a class with a bad name", func(p *store.PlanRows) { p.Classes[0].Name = "a,b" }, "gateway class"},
	} {
		p := rows()
		tt.do(p)
		err := p.Check(rows())
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says)) {
			t.Errorf("%s: got %v, want %q", tt.name, err, tt.says)
		}
	}
}
