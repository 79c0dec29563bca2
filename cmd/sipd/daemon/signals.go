package daemon

import (
	"context"
	"log/slog"
	"syscall"
	"time"

	"sipd/store/cache"
)

// signals acts on HUP and USR2 until ctx ends.
func (d *daemon) signals(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case sig := <-d.cfg.Signals: // nil: never
			switch sig {
			case syscall.SIGHUP:
				d.reload(ctx)
			case syscall.SIGUSR2:
				d.dump(ctx)
			}
		}
	}
}

// reload reads all tables again. Logs go to standard error, which has nothing to reopen.
func (d *daemon) reload(ctx context.Context) {
	if err := d.cache.Refresh(ctx); err != nil {
		d.log.ErrorContext(ctx, "reload failed, the old tables and settings stay in force", "err", err)
		return
	}
	d.log.InfoContext(ctx, "reloaded", "users", d.cache.Status().Users, "domains", d.cache.Status().Domains)
}

// dump writes what an operator wants to know of a server that behaves oddly.
func (d *daemon) dump(ctx context.Context) {
	d.log.LogAttrs(ctx, slog.LevelInfo, "state", d.status().attrs()...)
	for _, p := range d.cache.Status().Problems {
		d.log.WarnContext(ctx, "row cannot be used, the last good one stays in force", "err", &p)
	}
}

// readiness is what /readyz says.
func (d *daemon) readiness() readiness {
	switch d.state.Load() {
	case starting:
		return readiness{Reasons: []string{"starting"}}
	case draining:
		return readiness{Reasons: []string{"draining"}}
	}
	return readiness{Ready: true, Reasons: reasons(d.cache.Status(), d.location.Away())}
}

// reasons says what works with old data only, or not at all. Calls go on from memory: the server is ready all the same, and
// the monitor learns of it.
func reasons(s cache.Status, away bool) (list []string) {
	if s.Err != nil {
		list = append(list, staleReason(s))
	}
	if !s.Blind.IsZero() {
		list = append(list, "since "+s.Blind.UTC().Format(time.RFC3339)+" changes in the database are noticed late: it cannot be watched")
	}
	if away {
		list = append(list, "the database is away: registrations are refused with 503")
	}
	return list
}

func staleReason(s cache.Status) string {
	return "the tables in memory are of " + s.Current.UTC().Format(time.RFC3339) + ": " + s.Err.Error()
}
