package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// mutation is one way to break the server.
type mutation struct {
	file   string // below the root of the module
	old    string // stands in the file once
	new    string
	breaks string // what is wrong then
}

const (
	workers  = 2                // compilers are what takes the time, and they take two cores
	limit    = 60 * time.Second // a sound server plays all flows in a second; who is not through by then hangs
	memory   = 8 << 20          // KiB of address space: a mutation that eats memory ends as a panic does
	required = 90               // percent
)

// mutations returns the whole list.
func mutations() []mutation {
	return slices.Concat(proxyMutations, nameMutations, transactionMutations, registrarMutations, otherMutations, numberMutations, gatewayMutations)
}

func main() {
	list := mutations()
	if words := os.Args[1:]; len(words) > 0 {
		list = only(list, words)
	}
	root, err := moduleRoot()
	if err == nil {
		err = run(os.Stdout, root, list)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

// only returns the mutations whose file or description has one of the words.
func only(list []mutation, words []string) (some []mutation) {
	for _, m := range list {
		for _, w := range words {
			if strings.Contains(m.file+" "+m.breaks, w) {
				some = append(some, m)
				break
			}
		}
	}
	return some
}

// moduleRoot is the directory of go.mod, at or above the working directory.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("no go.mod here or above: run it inside the source tree")
		}
		dir = parent
	}
}

// run tries every mutation of the list and prints what came of it.
func run(out io.Writer, root string, list []mutation) error {
	if len(list) == 0 {
		return errors.New("no mutation has such a word")
	}
	dir, err := os.MkdirTemp("", "mutate")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	// All must apply before the first is tried, and the sound server must pass.
	for _, m := range list {
		if _, err := m.apply(root); err != nil {
			return err
		}
	}
	if caught, err := try(root, dir, nil); err != nil {
		return err
	} else if caught != "" {
		return fmt.Errorf("the flow %s fails without any mutation", caught)
	}
	var (
		mu               sync.Mutex
		group            sync.WaitGroup
		next, hit, tried int
		faults           []error
	)
	for w := range workers {
		group.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(list) {
					return
				}
				m := &list[i]
				caught, err := try(root, filepath.Join(dir, fmt.Sprint(w)), m)
				mu.Lock()
				switch {
				case err != nil:
					faults = append(faults, fmt.Errorf("%s: %q: %w", m.file, m.old, err))
				case caught == "":
					tried++
					fmt.Fprintf(out, "SURVIVED  %-40s  %s: %s\n", "", m.file, m.breaks)
				default:
					tried++
					hit++
					fmt.Fprintf(out, "caught by %-40s  %s: %s\n", caught, m.file, m.breaks)
				}
				mu.Unlock()
			}
		})
	}
	group.Wait()
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	fmt.Fprintf(out, "%d of %d mutations caught, %d survived\n", hit, tried, tried-hit)
	if hit*100 < required*tried {
		return fmt.Errorf("less than %d of a hundred are caught: the flows do not show enough", required)
	}
	return nil
}

// apply returns the text of the mutated file.
func (m *mutation) apply(root string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(root, m.file))
	if err != nil {
		return nil, fmt.Errorf("mutation %q: %w", m.breaks, err)
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return nil, fmt.Errorf("mutation %q: %q stands %d times in %s, want once: the code has changed, write the mutation anew",
			m.breaks, m.old, n, m.file)
	}
	return []byte(strings.Replace(string(text), m.old, m.new, 1)), nil
}

// try builds the server's tests with a mutation (nil: none) and plays the flows. It returns what noticed it, "" for nothing.
func try(root, dir string, m *mutation) (caught string, err error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "server.test")
	build := []string{"test", "-c", "-vet=off", "-ldflags=-s -w", "-o", bin}
	if m != nil {
		text, err := m.apply(root)
		if err != nil {
			return "", err
		}
		mutated, overlay := filepath.Join(dir, "mutated.go"), filepath.Join(dir, "overlay.json")
		table, err := json.Marshal(map[string]map[string]string{"Replace": {filepath.Join(root, m.file): mutated}})
		if err != nil {
			return "", err
		}
		if err := errors.Join(os.WriteFile(mutated, text, 0o644), os.WriteFile(overlay, table, 0o644)); err != nil {
			return "", err
		}
		build = append(build, "-overlay", overlay)
	}
	compile := exec.Command("go", append(build, "./server")...)
	compile.Dir = root
	if said, err := compile.CombinedOutput(); err != nil {
		return "", fmt.Errorf("it does not compile: %w\n%s", err, said)
	}
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	play := exec.CommandContext(ctx, "sh", "-c", fmt.Sprintf(`ulimit -v %d; exec "$0" "$@"`, memory), bin, "-test.run=^TestFlows$", "-test.v", "-test.failfast")
	play.Dir = filepath.Join(root, "server")
	said, err := play.CombinedOutput()
	switch {
	case err == nil:
		return "", nil
	case ctx.Err() != nil:
		return lastFlow(said) + " (hangs)", nil
	}
	if flow := failedFlow.FindSubmatch(said); flow != nil {
		return string(flow[1]), nil
	}
	if flow := lastFlow(said); flow != "" {
		return flow + " (panics)", nil
	}
	return "", fmt.Errorf("the flows could not be played: %w\n%s", err, said)
}

var (
	failedFlow  = regexp.MustCompile(`--- FAIL: TestFlows/(\S+)`)
	startedFlow = regexp.MustCompile(`=== RUN   TestFlows/(\S+)`)
)

// lastFlow is the one that was being played when the output ended.
func lastFlow(said []byte) string {
	all := startedFlow.FindAllSubmatch(said, -1)
	if len(all) == 0 {
		return ""
	}
	return string(all[len(all)-1][1])
}
