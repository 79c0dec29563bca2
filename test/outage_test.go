package test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

var wholeOutage = flag.Bool("outage", false, "every case of TestOutage, as make outage runs it, instead of the short form")

// outageCase is a way in which a database goes away and comes back.
type outageCase struct {
	name     string
	database string
	short    bool // part of the short form
	on       medium
	hold     time.Duration
	begin    func(r *rig)
	during   func(r *rig) // in the middle
	end      func(r *rig)
}

// longer than a commit may take (location), so that the server must decide.
const (
	longOutage  = 14 * time.Second
	shortOutage = 12500 * time.Millisecond // the most in the short form
)

var outageCases = []outageCase{
	{
		name: "killed", database: "postgres", short: true, hold: 6 * time.Second,
		begin: func(r *rig) { r.cluster.Kill(r.t) },
		end:   func(r *rig) { r.cluster.Start(r.t) },
	},
	{
		name: "hung", database: "postgres", short: true, hold: longOutage,
		begin: func(r *rig) { r.cluster.Hang() },
		end:   func(r *rig) { r.cluster.Continue() },
	},
	{
		name: "black-holed", database: "postgres", on: behindProxy, hold: longOutage,
		begin: func(r *rig) { r.proxy.blackHole(r.t) },
		end:   func(r *rig) { r.proxy.restore(r.t) },
	},
	{
		name: "refused", database: "postgres", on: behindProxy, hold: 8 * time.Second,
		begin: func(r *rig) { r.proxy.refuse() },
		end:   func(r *rig) { r.proxy.open(r.t) },
	},
	{
		name: "read-only", database: "postgres", hold: 8 * time.Second,
		begin: func(r *rig) {
			r.db.exec(r.t, "ALTER DATABASE sipd SET default_transaction_read_only = on",
				"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = 'sipd'")
		},
		// Sessions of the outage stay read-only until they end: the server has to leave them.
		end: func(r *rig) {
			r.db.exec(r.t, "SET default_transaction_read_only = off", "ALTER DATABASE sipd RESET default_transaction_read_only")
		},
	},
	{
		name: "disk full", database: "postgres", on: smallDisk, hold: 8 * time.Second,
		begin: func(r *rig) { r.undo = fillDisk(r.t, r.folder) },
		end: func(r *rig) {
			r.undo()
			r.row.note = "Postgres went on by itself"
			if !r.cluster.Running() { // It gives up when it cannot write its own log.
				r.row.note = "Postgres had ended and was started again"
				r.cluster.Start(r.t)
			}
		},
	},
	{
		name: "killed, and the server too", database: "postgres", hold: 8 * time.Second,
		begin:  func(r *rig) { r.cluster.Kill(r.t) },
		during: func(r *rig) { r.without(func() {}) },
		end:    func(r *rig) { r.cluster.Start(r.t) },
	},
	{
		// The dead server's session holds the lock of the database until Postgres looks.
		name: "hung, and the server killed", database: "postgres", hold: 8 * time.Second,
		begin:  func(r *rig) { r.cluster.Hang() },
		during: func(r *rig) { r.without(func() {}) },
		end:    func(r *rig) { r.cluster.Continue() },
	},
	{
		name: "server started without it", database: "postgres", hold: 8 * time.Second,
		begin: func(r *rig) { r.restartWithout(func() { r.cluster.Kill(r.t) }) },
		end:   func(r *rig) { r.cluster.Start(r.t) },
	},
	{
		name: "tables of a newer sipd", database: "postgres", hold: 8 * time.Second,
		begin:  func(r *rig) { r.newerTables() },
		during: func(r *rig) { r.startsOnNewer() },
		end:    func(r *rig) { r.olderTables() },
	},
	{
		name: "locked", database: "sqlite", short: true, hold: longOutage,
		begin: func(r *rig) { r.undo = r.db.lockAway(r.t) },
		end:   func(r *rig) { r.undo() },
	},
	{
		name: "read-only", database: "sqlite", on: ownDisk, hold: 8 * time.Second,
		// What a kernel does to a file system when its disk fails.
		begin: func(r *rig) { run(r.t, "mount", "-o", "remount,abort", r.folder) },
		end: func(r *rig) {
			r.without(func() {
				unmount(r.t, r.folder)
				if out, err := tryRun("e2fsck", "-p", r.image); err != nil && !strings.Contains(out, "recovering journal") {
					r.t.Fatalf("e2fsck: %v %s", err, out)
				}
				run(r.t, "mount", "-o", "loop", r.image, r.folder)
			})
			r.row.note = "mended while the server was down"
		},
	},
	{
		name: "disk full", database: "sqlite", on: smallDisk, hold: 8 * time.Second,
		begin: func(r *rig) { r.undo = fillDisk(r.t, r.folder) },
		end:   func(r *rig) { r.undo() },
	},
	{
		name: "locked, and the server killed", database: "sqlite", hold: 8 * time.Second,
		begin:  func(r *rig) { r.undo = r.db.lockAway(r.t) },
		during: func(r *rig) { r.without(func() {}) },
		end:    func(r *rig) { r.undo() },
	},
	{
		name: "server started without it", database: "sqlite", hold: 8 * time.Second,
		begin: func(r *rig) { r.restartWithout(func() { r.undo = r.db.lockAway(r.t) }) },
		end:   func(r *rig) { r.undo() },
	},
	{
		name: "tables of a newer sipd", database: "sqlite", hold: 8 * time.Second,
		begin:  func(r *rig) { r.newerTables() },
		during: func(r *rig) { r.startsOnNewer() },
		end:    func(r *rig) { r.olderTables() },
	},
}

// newerTables changes the tables as the migration of a newer program might.
func (r *rig) newerTables() {
	r.t.Helper()
	r.db.exec(r.t, "INSERT INTO goose_db_version (version_id, is_applied) VALUES (9999, "+map[string]string{"sqlite": "1", "postgres": "true"}[r.db.name]+")",
		"ALTER TABLE contacts RENAME COLUMN methods TO methods_known")
}

func (r *rig) olderTables() {
	r.t.Helper()
	r.db.exec(r.t, "ALTER TABLE contacts RENAME COLUMN methods_known TO methods", "DELETE FROM goose_db_version WHERE version_id = 9999")
}

// startsOnNewer starts another server in the place of the one that runs: it leaves the tables alone, says why, and serves calls.
func (r *rig) startsOnNewer() {
	r.t.Helper()
	r.without(func() {})
	if out := r.server().output(); !strings.Contains(out, "newer") {
		r.t.Errorf("sipd does not say that the tables are newer:\n%s", out)
	}
}

// restartWithout stops the server in good order, takes the database away, and starts the server again: it must serve calls and say
// how old what it knows is.
func (r *rig) restartWithout(away func()) {
	r.t.Helper()
	from := time.Now()
	if err := r.server().stop(20 * time.Second); err != nil {
		r.t.Errorf("sipd: %v", err)
	}
	away()
	r.serve()
	r.killed = append(r.killed, span{from: from, to: time.Now(), inOrder: true})
	if page := r.readyz(); !strings.Contains(page, `"ready":true`) || !agedPage.MatchString(page) {
		r.t.Errorf("/readyz does not say how old the tables are: %s", page)
	}
}

// agedPage finds a time of day on the page.
var agedPage = regexp.MustCompile(`of \d{4}-\d\d-\d\dT\d\d:\d\d:\d\d`)

// TestOutage takes the database away from a server under traffic, gives it back, and looks for everything that was answered.
func TestOutage(t *testing.T) {
	var table outageTable
	t.Cleanup(table.print)
	for _, kind := range []string{"postgres", "sqlite"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			for i, c := range outageCases {
				if c.database != kind || !*wholeOutage && !c.short {
					continue
				}
				t.Run(c.name, func(t *testing.T) {
					if !*wholeOutage {
						t.Parallel()
					}
					table.set(i, outageRow{name: c.name, database: kind, note: "no figures"})
					r := newRig(t, kind, c.on)
					r.row.name, r.row.database = c.name, kind
					defer func() { table.set(i, r.row) }()
					c.run(r)
				})
			}
		})
	}
}

func (c *outageCase) run(r *rig) {
	r.t.Helper()
	r.warm()
	r.fault()
	c.begin(r)
	hold := c.hold
	if !*wholeOutage {
		hold = min(hold, shortOutage)
	}
	time.Sleep(hold / 2)
	if c.during != nil {
		c.during(r)
	}
	time.Sleep(hold / 2)
	c.end(r)
	r.healed()
	r.finish()
}

// outageTable is what TestOutage prints at its end.
type outageTable struct {
	mu   sync.Mutex
	rows map[int]outageRow
}

func (o *outageTable) set(i int, row outageRow) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.rows == nil {
		o.rows = map[int]outageRow{}
	}
	o.rows[i] = row
}

func (o *outageTable) print() {
	o.mu.Lock()
	defer o.mu.Unlock()
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 1, ' ', 0)
	fmt.Fprintln(w, "| case\t| database\t| calls\t| p99 set-up\t| REGISTER 200/500/503/none\t| slowest\t| false 200\t| log rows\t| missing\t| twice\t| lost with the server\t| memory differs\t| REGISTER back\t| log complete\t| lines\t|")
	for i := range outageCases {
		r, ok := o.rows[i]
		if !ok {
			continue
		}
		ms := func(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }
		fmt.Fprintf(w, "| %s\t| %s\t| %d of %d\t| %s\t| %d/%d/%d/%d\t| %s\t| %d\t| %d\t| %d\t| %d\t| %d\t| %d\t| %s\t| %s\t| %d\t| %s\n", r.name, r.database, r.completed, r.tried, ms(r.p99),
			r.ok, r.failed, r.refused, r.silent, ms(r.slowest), r.falseOK, r.rows, r.missing, r.twice, r.lost, r.memory, ms(r.back), ms(r.drained), r.lines, r.note)
	}
	if *wholeOutage {
		fmt.Fprintln(w, "| clock set by an hour\t| both\t| not here: nobody can set it for one process; the packages' tests do (internal/testclock)")
	}
	w.Flush()
	fmt.Fprint(os.Stdout, b.String())
}
