package test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// nameServer is Debian's nsd.
type nameServer struct {
	*process
	dir string
}

// startNSD serves zones, the text of each by its name, in a namespace, whose resolv.conf leads there.
func startNSD(t testing.TB, ns *namespace, zones map[string]string) *nameServer {
	t.Helper()
	return serveZones(t, ns.command, "127.0.0.1@53", zones)
}

// serveZones serves zones at an address, ADDR@PORT.
func serveZones(t testing.TB, command func(...string) *exec.Cmd, addr string, zones map[string]string) *nameServer {
	t.Helper()
	need(t, "nsd")
	n := &nameServer{dir: t.TempDir()}
	config := fmt.Sprintf(`server:
	ip-address: %[2]s
	server-count: 1
	username: ""
	database: ""
	zonesdir: %[1]s
	zonelistfile: %[1]s/list
	xfrdfile: %[1]s/xfrd
	pidfile: %[1]s/pid
	hide-version: yes
	rrl-ratelimit: 0
remote-control:
	control-enable: no
`, n.dir, addr)
	for name, text := range zones {
		config += fmt.Sprintf("zone:\n\tname: %s\n\tzonefile: %s\n", name, name)
		head := fmt.Sprintf("$ORIGIN %s.\n$TTL 300\n@ SOA ns hostmaster 1 3600 600 86400 60\n@ NS ns\nns A 127.0.0.1\n", name)
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(head+text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(n.dir, "conf")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	n.process = start(t, command("nsd", "-d", "-c", path))
	n.printed(t, 0, 20*time.Second, `nsd started`)
	return n
}
