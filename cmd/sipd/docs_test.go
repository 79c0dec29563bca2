package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sipd/config"
)

// marked is a shell block of a page that the test runs: "<!-- run: name -->" and a fenced block.
var marked = regexp.MustCompile("(?s)<!-- run: ([a-z]+) -->\n```sh\n(.*?)\n```")

// pages have marked blocks. The blocks of one name run in order, in one directory, after what stands here.
var pages = []struct {
	file    string
	prepare map[string]string
}{
	{"README.md", map[string]string{"quickstart": "bin/sipd quickstart --data ./data alice bob"}},
	{"docs/guide.md", map[string]string{"guide": ""}},
	{"docs/man/sipd.8.md", map[string]string{"sipd": ""}},
	{"docs/man/addsipuser.1.md", map[string]string{"addsipuser": "sipd db migrate -D sqlite:sipd.db; sipd domain add example.com -D sqlite:sipd.db"}},
}

// root is the top of the tree.
const root = "../.."

func TestExamplesRun(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "bin")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", bin+"/", "./cmd/sipd", "./cmd/addsipuser")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	for _, page := range pages {
		text := read(t, page.file)
		blocks := map[string]string{}
		for _, m := range marked.FindAllStringSubmatch(text, -1) {
			blocks[m[1]] += m[2] + "\n"
		}
		for name, prepare := range page.prepare {
			t.Run(page.file+" "+name, func(t *testing.T) {
				if blocks[name] == "" {
					t.Fatal("the page has no such block")
				}
				dir := t.TempDir()
				if err := os.Symlink(bin, filepath.Join(dir, "bin")); err != nil {
					t.Fatal(err)
				}
				sh := exec.Command("sh", "-euxc", prepare+"\n"+blocks[name])
				sh.Dir = dir
				sh.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "HOME=" + dir}
				if out, err := sh.CombinedOutput(); err != nil {
					t.Errorf("got %v, want that the example runs:\n%s", err, out)
				}
			})
			delete(blocks, name)
		}
		for name := range blocks {
			t.Errorf("%s: block %q is run by nobody", page.file, name)
		}
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The manual page names every command, flag of run and setting, and no setting that is unknown.
func TestManualIsComplete(t *testing.T) {
	page := read(t, "docs/man/sipd.8.md")
	_, settings, _ := strings.Cut(page, "## SETTINGS")
	settings, _, _ = strings.Cut(settings, "## SIGNALS")
	for _, name := range config.Names() {
		if !regexp.MustCompile(`\b` + name + `\b`).MatchString(settings) {
			t.Errorf("setting %s is not in sipd(8)", name)
		}
		if def := config.Default(name); def != "" && strings.Contains(settings, "| "+name+" |") && name != "Listen" && !strings.Contains(settings, "| "+name+" | "+def) {
			t.Errorf("setting %s: sipd(8) does not give its default %s", name, def)
		}
	}
	for _, row := range regexp.MustCompile(`(?m)^\| (\w+) \|`).FindAllStringSubmatch(settings, -1) {
		if _, err := config.Known(row[1]); err != nil && row[1] != "name" {
			t.Errorf("sipd(8): %v", err)
		}
	}
	a := &app{}
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && !regexp.MustCompile(`\*\*(\w+ )*`+sub.Name()+`[ *]`).MatchString(page) {
				t.Errorf("command %s is not in sipd(8)", sub.CommandPath())
			}
			visit(sub)
		}
	}
	top := a.command()
	visit(top)
	for _, flags := range []*pflag.FlagSet{top.Flags(), top.PersistentFlags()} {
		flags.VisitAll(func(f *pflag.Flag) {
			if f.Name == "help" || f.Name == "version" {
				return
			}
			if !strings.Contains(page, "**--"+f.Name+"**") && (f.Shorthand == "" || !strings.Contains(page, "**-"+f.Shorthand+"**")) {
				t.Errorf("flag --%s is not in sipd(8)", f.Name)
			}
		})
	}
}
