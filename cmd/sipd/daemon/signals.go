package daemon

import (
	"context"
	"fmt"
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

// reload reads the certificate and all tables again. Logs go to standard error, which has nothing to reopen.
func (d *daemon) reload(ctx context.Context) {
	if d.certificate != nil {
		d.certificate.Renew(time.Now())
	}
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
	switch d.phase.Load() {
	case starting:
		return readiness{Reasons: []string{"starting"}}
	case draining:
		return readiness{Reasons: []string{"draining"}}
	}
	r := readiness{Ready: true, Reasons: reasons(d.cache.Status(), d.location.Away(), time.Now())}
	r.Reasons = append(r.Reasons, peerReasons(d.resolver.Status(time.Now()), d.certificateState(time.Now()))...)
	if why := d.db.shut.Load(); why != nil {
		r.Reasons = append(r.Reasons, "a newer sipd has changed the tables, nothing is read or written: "+(*why).Error())
	}
	return r
}

// reasons says what works with old data only, or not at all. Calls go on from memory: the server is ready all the same, and
// the monitor learns of it.
func reasons(s cache.Status, away bool, now time.Time) (list []string) {
	if s.Err != nil {
		list = append(list, staleReason(s, now))
	}
	if !s.Blind.IsZero() {
		list = append(list, "since "+s.Blind.UTC().Format(time.RFC3339)+" changes in the database are noticed late: it cannot be watched")
	}
	if away {
		list = append(list, "the database is away: registrations are refused with 503")
	}
	return list
}

func staleReason(s cache.Status, now time.Time) string {
	return fmt.Sprintf("the tables in memory are of %s, %v ago: %v", s.Current.UTC().Format(time.RFC3339), now.Sub(s.Current).Round(time.Second), s.Err)
}
