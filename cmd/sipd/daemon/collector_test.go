package daemon

import (
	"testing"
	"testing/fstest"
	"time"
)

func TestGroupLimit(t *testing.T) {
	file := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s + "\n")} }
	for _, c := range []struct {
		name  string
		files fstest.MapFS
		want  int64
	}{
		{"no control groups", fstest.MapFS{}, 0},
		{"version 2, no limit", fstest.MapFS{"proc/self/cgroup": file("0::/system.slice/sipd.service"),
			"sys/fs/cgroup/system.slice/sipd.service/memory.max": file("max")}, 0},
		{"version 2", fstest.MapFS{"proc/self/cgroup": file("0::/system.slice/sipd.service"),
			"sys/fs/cgroup/system.slice/sipd.service/memory.max": file("268435456")}, 268435456},
		{"version 2, the slice has less", fstest.MapFS{"proc/self/cgroup": file("0::/system.slice/sipd.service"),
			"sys/fs/cgroup/system.slice/sipd.service/memory.max": file("268435456"),
			"sys/fs/cgroup/system.slice/memory.max":              file("134217728")}, 134217728},
		{"version 2 in a container", fstest.MapFS{"proc/self/cgroup": file("0::/"), "sys/fs/cgroup/memory.max": file("536870912")}, 536870912},
		{"a path outside of what the container sees", fstest.MapFS{"proc/self/cgroup": file("0::/../other"), "sys/fs/cgroup/memory.max": file("536870912")}, 536870912},
		{"version 1", fstest.MapFS{"proc/self/cgroup": file("5:cpu,cpuacct:/x\n4:memory:/a/b\n0::/"),
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": file("9223372036854771712"),
			"sys/fs/cgroup/memory/a/memory.limit_in_bytes":   file("1073741824"),
			"sys/fs/cgroup/cpu/x/memory.limit_in_bytes":      file("1")}, 1073741824},
		{"version 1 without a limit", fstest.MapFS{"proc/self/cgroup": file("4:memory:/"),
			"sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712")}, 0},
		{"nonsense", fstest.MapFS{"proc/self/cgroup": file("x\n0::/"), "sys/fs/cgroup/memory.max": file("-5")}, 0},
	} {
		if got := groupLimit(c.files); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func TestGoLimit(t *testing.T) {
	const mib = 1 << 20
	for _, c := range []struct{ group, want int64 }{{50 * mib, 32 * mib}, {160 * mib, 64 * mib}, {256 * mib, 160 * mib}, {1000 * mib, 800 * mib}} {
		if got := goLimit(c.group); got != c.want {
			t.Errorf("goLimit(%d): got %d, want %d", c.group, got, c.want)
		}
	}
}

func TestIdler(t *testing.T) {
	var i idler
	now, cpu := time.Now(), time.Duration(0)
	for n, step := range []struct {
		after, cpu time.Duration
		want       bool
	}{
		{0, 0, false},
		{900 * time.Millisecond, 0, false},
		{100 * time.Millisecond, 15 * time.Millisecond, true}, // 15 ms of a second
		{time.Second, 0, false},                               // again so soon
		{58 * time.Second, 4 * time.Second, false},            // too much to do
		{time.Second, 0, true},                                // again little
		{time.Millisecond, time.Millisecond, false},           // not over yet
		{5 * time.Minute, 5 * time.Second, true},              // a long sleep
		{61 * time.Second, 1300 * time.Millisecond, false},    // just too much
	} {
		now = now.Add(step.after)
		cpu += step.cpu
		if got := i.idle(now, cpu); got != step.want {
			t.Errorf("step %d: got %v, want %v", n, got, step.want)
		}
	}
}

func TestSpare(t *testing.T) {
	for _, c := range []struct {
		held, live uint64
		want       bool
	}{{20 << 20, 10 << 20, false}, {200 << 20, 10 << 20, true}, {450 << 20, 350 << 20, false}, {900 << 20, 350 << 20, true}} {
		if got := spare(c.held, c.live); got != c.want {
			t.Errorf("spare(%d, %d): got %v, want %v", c.held, c.live, got, c.want)
		}
	}
}
