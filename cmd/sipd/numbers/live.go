package numbers

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"time"

	"sipd/store"
)

// liveGateway is how the running server finds a gateway, as its page /status has it.
type liveGateway struct {
	ID     int64     `json:"id"`
	Name   string    `json:"name"`
	URI    string    `json:"uri"`
	State  string    `json:"state"`
	Reason string    `json:"reason,omitempty"`
	Since  time.Time `json:"since"`
	Calls  int       `json:"calls"`
}

// watch adds to views how the running server finds the gateways of rows, and reports whether it has said; else it tells why not. What it
// says of other rows than these is of another database.
func (p *Program) watch(ctx context.Context, admin string, rows []store.Gateway, views []gatewayView) bool {
	if len(rows) == 0 {
		return false
	}
	var page struct {
		Gateways []liveGateway `json:"gateways"`
	}
	if err := p.Status(ctx, admin, &page); err != nil {
		fmt.Fprintf(p.Stderr, "note: how the gateways are now is not known: %s\n", p.Visible(err.Error()))
		return false
	}
	found := false
	for i := range rows {
		r := &rows[i]
		at := slices.IndexFunc(page.Gateways, func(g liveGateway) bool { return g.ID == r.ID && g.Name == r.Name && g.URI == r.URI })
		if at >= 0 {
			views[i].Live, found = &page.Gateways[at], true
		}
	}
	if !found {
		fmt.Fprintln(p.Stderr, "note: how the gateways are now is not known: the server that answers has none of these")
	}
	return found
}

// cells are those of the table; g may be nil.
func (g *liveGateway) cells() []string {
	if g == nil {
		return []string{"-", "-", "-", "-"}
	}
	return []string{g.State, strconv.Itoa(g.Calls), g.Since.UTC().Format(time.RFC3339), orDash(g.Reason)}
}
