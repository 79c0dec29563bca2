package daemon

import (
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// groupLimit returns the memory limit of the control group that this process is in, or of one above it; 0 for none. root is the
// file system: version 2 has one tree of groups, version 1 one for each controller (cgroups(7)). In a container the tree begins at the
// container's own group, whatever /proc says; so both places are looked at.
func groupLimit(root fs.FS) int64 {
	text, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	limit := int64(0)
	for line := range strings.Lines(string(text)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // number:controllers:path
		if len(parts) != 3 {
			continue
		}
		base, file := "sys/fs/cgroup/memory", "memory.limit_in_bytes"
		switch {
		case parts[0] == "0" && parts[1] == "":
			base, file = "sys/fs/cgroup", "memory.max"
		case !strings.Contains(","+parts[1]+",", ",memory,"):
			continue
		}
		for dir := path.Clean("/" + parts[2]); ; dir = path.Dir(dir) {
			if n := readLimit(root, path.Join(base, dir, file)); n > 0 && (limit == 0 || n < limit) {
				limit = n
			}
			if dir == "/" {
				break
			}
		}
	}
	return limit
}

// unlimited is where version 1's number for no limit begins: the largest number of pages.
const unlimited = 1 << 60

// readLimit reads a limit, 0 when there is none.
func readLimit(root fs.FS, name string) int64 {
	text, err := fs.ReadFile(root, name)
	if err != nil {
		return 0
	}
	n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64) // "max" is no number
	if err != nil || n < 0 || n >= unlimited {
		return 0
	}
	return n
}
