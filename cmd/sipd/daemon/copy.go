package daemon

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"time"
	"weak"

	"sipd/location"
	"sipd/sipaddr"
	"sipd/store"
	"sipd/store/cache"
	"sipd/store/lastgood"
)

// The rhythm of the copy on disk.
const (
	// copyEvery is the shortest time between two copies of what goes on changing: what is newer is not known after a power failure, if
	// the database is not there then.
	copyEvery = time.Second
	// A copy that takes long or is large is made less often. While it is made it works a tenth of the time: with a pause of ten times as
	// long it takes a hundredth of one core. And a megabyte a second at most.
	copyPause = 10
	copyRate  = 1 << 20
	// touchEvery is how often the file says that what it holds is still current.
	touchEvery = time.Minute
	// lastCopy is how long the copy at the stop may take.
	lastCopy = 5 * time.Second
)

// diskCopy is the copy of tables and bindings from which the server starts without its database (docs/adr/0016).
type diskCopy struct {
	folder   *folder
	database string // identity of it
	server   string // -S
	log      *slog.Logger
	there    bool // a file of tables was there at the start, and its header is in order

	tables, bindings written
	touched          time.Time
}

// written is what one of the files holds.
type written struct {
	snapshot weak.Pointer[cache.Snapshot] // the tables, which are not kept for this
	version  uint64                       // of the bindings
	next     time.Time                    // not before this
	failed   string                       // why the last attempt failed, for the log to hear of once
}

// newDiskCopy looks at what is there.
func newDiskCopy(f *folder, database, server string, log *slog.Logger) *diskCopy {
	c := &diskCopy{folder: f, database: database, server: server, log: log}
	_, err := lastgood.Peek(f.file(lastgood.TablesFile), database, server)
	c.there = err == nil
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		log.Warn("the copy on disk is of no use", "err", err)
	}
	return c
}

// restoreTables puts the saved tables in force; why says why the database is not used.
func (c *diskCopy) restoreTables(ctx context.Context, to *cache.Cache, why error) error {
	path := c.folder.file(lastgood.TablesFile)
	h, err := lastgood.Peek(path, c.database, c.server)
	if err != nil {
		return err
	}
	err = to.Restore(ctx, &cache.Saved{Server: store.Server{ID: h.ServerID, Name: h.Server}, Of: h.Of, Why: why, Read: func(into store.Sink) error {
		_, err := lastgood.ReadTables(path, c.database, c.server, into)
		return err
	}})
	if err != nil {
		return err
	}
	c.tables.snapshot = weak.Make(to.Snapshot())
	return nil
}

// restoreBindings publishes the saved bindings that have not expired.
func (c *diskCopy) restoreBindings(to *location.Service) error {
	err := to.Restore(func(each func(sipaddr.AOR, *location.Binding) error) error {
		_, err := lastgood.ReadBindings(c.folder.file(lastgood.BindingsFile), c.database, c.server, each)
		return err
	})
	c.bindings.version = to.Version()
	return err
}

// keepCopy writes the copy anew when something has changed, until ctx ends; then once more. Changes that come one after the other
// share a copy.
func (d *daemon) keepCopy(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		d.copyTables(ctx, false)
		d.copyBindings(ctx, false)
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastCopy)
			defer cancel()
			d.copyTables(last, true)
			d.copyBindings(last, true)
			return ctx.Err()
		case <-tick.C:
		}
	}
}

// copyTables writes the tables if they are the database's and have changed.
func (d *daemon) copyTables(ctx context.Context, hurry bool) {
	c, snap, status := d.copy, d.cache.Snapshot(), d.cache.Status()
	if !d.db.current.Load() {
		return
	}
	path := c.folder.file(lastgood.TablesFile)
	if weak.Make(snap) == c.tables.snapshot {
		if status.Err == nil && (hurry || time.Since(c.touched) >= touchEvery) {
			c.touched = time.Now()
			if err := lastgood.Touch(path, status.Current); err != nil {
				c.tables = written{} // Somebody has removed it.
			}
		}
		return
	}
	c.write(ctx, &c.tables, path, hurry, func(h lastgood.Header) error {
		h.Of, h.ServerID, h.Server = status.Current, snap.Server.ID, snap.Server.Name
		if err := lastgood.WriteTables(ctx, path, hurry, h, snap.Feed); err != nil {
			return err
		}
		c.tables.snapshot, c.touched = weak.Make(snap), time.Now()
		return nil
	})
}

// copyBindings writes the bindings if they are the database's and have changed, also when it has gone away since.
func (d *daemon) copyBindings(ctx context.Context, hurry bool) {
	c, version := d.copy, d.location.Version()
	if !d.db.current.Load() || version == c.bindings.version {
		return
	}
	path := c.folder.file(lastgood.BindingsFile)
	c.write(ctx, &c.bindings, path, hurry, func(h lastgood.Header) error {
		server := d.cache.Snapshot().Server
		h.Of, h.ServerID, h.Server = time.Now(), server.ID, server.Name
		if err := lastgood.WriteBindings(ctx, path, hurry, h, d.location.All()); err != nil {
			return err
		}
		c.bindings.version = version
		return nil
	})
}

// write does the work of do when it is time, and settles when it is time again.
func (c *diskCopy) write(ctx context.Context, w *written, path string, hurry bool, do func(lastgood.Header) error) {
	begin := time.Now()
	if begin.Before(w.next) && !hurry {
		return
	}
	err := do(lastgood.Header{Database: c.database})
	pause := max(copyEvery, copyPause*time.Since(begin))
	if info, err := os.Stat(path); err == nil {
		pause = max(pause, time.Duration(info.Size()/copyRate)*time.Second)
	}
	w.next = time.Now().Add(pause)
	switch {
	case err == nil && w.failed != "":
		w.failed = ""
		c.log.InfoContext(ctx, "the copy on disk is written again", "file", path)
	case err != nil && err.Error() != w.failed && (hurry || ctx.Err() == nil):
		w.failed = err.Error()
		c.log.WarnContext(ctx, "the copy on disk is not renewed: without the database the server would start with an older one", "err", err)
	}
}
