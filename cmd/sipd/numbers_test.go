package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"sipd/store"
	"sipd/store/sqlstore"
)

const departmentMap = `# the department
(+12129397139) student,phd sip:test@192.0.2.196
(+1212939)7[01]?? student,phd sip:$@itgw1.cs.example.edu
(+1212)??????? phd sip:8$@itgw1.cs.example.edu
(+1800)??????? * sip:91800$@gw
`

const extensions = `7[01]?? tel:+1212939$
(9)??????? tel:+1212$
`

// numbersDatabase has users, classes, both maps and an alias; files of the maps are beside it.
func numbersDatabase(t *testing.T) (d, dir string) {
	t.Helper()
	d, dir = database(t), t.TempDir()
	for _, name := range []string{"alice", "bob", "carol"} {
		if r := call(t, "pw\n", "user", "add", name+"@example.com", "-p", "-", d); r.code != 0 {
			t.Fatal(r.err)
		}
	}
	must(t, "class", "add", "student", d)
	must(t, "class", "add", "phd", d)
	writeFile(t, filepath.Join(dir, "gw"), departmentMap)
	writeFile(t, filepath.Join(dir, "dp"), extensions)
	must(t, "gatewaymap", "import", filepath.Join(dir, "gw"), d)
	must(t, "dialplan", "import", filepath.Join(dir, "dp"), d)
	must(t, "alias", "add", "+12129397042", "alice@example.com", d)
	return d, dir
}

func TestMaps(t *testing.T) {
	d, dir := numbersDatabase(t)
	writeFile(t, filepath.Join(dir, "syntax"), "7( tel:+1\n8 tel:$\n9\n")
	writeFile(t, filepath.Join(dir, "targets"), "7 tel:+1\n8 mailto:x\n9 gopher:y\n")
	writeFile(t, filepath.Join(dir, "classes"), "(+)* * sip:$@a.example\n(+)* phd,guest sip:$@b.example\n")
	expect(t, []expectation{
		{"list", []string{"gatewaymap", "list", d}, 0, "2   20        (+1212939)7[01]??  student,phd  sip:$@itgw1.cs.example.edu   1       yes"},
		{"target", []string{"gatewaymap", "test", "+1-212-939-7042", "--class", "student", d}, 0, "sip:7042@itgw1.cs.example.edu\n"},
		{"by URI", []string{"gatewaymap", "test", "tel:+12129397042", "--class", "student", d}, 0, "sip:7042@itgw1.cs.example.edu\n"},
		{"any class", []string{"gatewaymap", "test", "+18005551234", "--class", "phd", d}, 0, "sip:918005551234@gw\n"},
		{"unknown class", []string{"gatewaymap", "test", "+12129397042", "--class", "guest", d}, 1, "no gateway class guest"},
		{"as it is dialled", []string{"gatewaymap", "test", "7042", "--class", "phd", d}, 1, "note: the dial plan makes tel:+12129397042 of 7042: ask for that"},
		{"no number", []string{"gatewaymap", "test", "", d}, 2, "is no number"},
		{"add", []string{"gatewaymap", "add", "(+44)*", "phd", "sip:$@uk.example", "--weight", "3", d}, 0, "added rule (+44)* phd sip:$@uk.example at position 50"},
		{"hunt group", []string{"gatewaymap", "add", "(+44)*", "phd", "sip:$@uk2.example", "--position", "50", d}, 0, "at position 50"},
		{"both", []string{"gatewaymap", "test", "+4420", "--class", "phd", d}, 0, "sip:20@uk.example\nsip:20@uk2.example\n"},
		{"add for nobody", []string{"gatewaymap", "add", "(+45)*", "guest", "sip:$@x.example", d}, 2, "class add guest"},
		{"add a bad one", []string{"gatewaymap", "add", "(+45", "phd", "sip:$@x.example", d}, 2, "column 1: ( without )"},
		{"remove", []string{"gatewaymap", "rm", "6", d}, 0, "removed rule (+44)* phd sip:$@uk2.example"},
		{"remove again", []string{"gatewaymap", "rm", "6", d}, 1, "there is no rule 6; `sipd gatewaymap list`"},
		{"remove what", []string{"gatewaymap", "rm", "x", d}, 2, "is no number of a row"},
		{"no such file", []string{"gatewaymap", "import", dir + "/none", d}, 2, "no such file"},
		{"classes in a file", []string{"gatewaymap", "import", dir + "/classes", d}, 2, "line 2: store: invalid value: there is no gateway class guest"},

		{"what is made of it", []string{"dialplan", "test", "7042", d}, 0, "tel:+12129397042\n"},
		{"with hyphens", []string{"dialplan", "test", "555-12 34", d}, 1, ""},
		{"syntax of a file", []string{"dialplan", "import", dir + "/syntax", d}, 2, "line 3: 1 fields"},
		{"targets in a file", []string{"dialplan", "import", dir + "/targets", d}, 2, "line 3: store: invalid value: target \"gopher:y\""},
		{"first line of a file", []string{"dialplan", "import", dir + "/targets", d}, 2, "line 2: "},
		{"emergency", []string{"dialplan", "add", "911", "sip:911@psap.example.org", "--emergency", "--position", "1", "--comment", "first", d}, 0, "at position 1\n"},
		{"export", []string{"dialplan", "export", d}, 0, "# first\n911 sip:911@psap.example.org\n" + extensions},
		{"off", []string{"dialplan", "add", "411", "sip:info@example.com", "--off", d}, 0, "added rule"},
		{"is off", []string{"dialplan", "test", "411", d}, 1, ""},
		{"dry run", []string{"dialplan", "import", dir + "/dp", "--dry-run", d}, 0, "- 911 sip:911@psap.example.org (emergency)\n- 411 sip:info@example.com\nwould import 2 rules\n"},
		{"has changed nothing", []string{"dialplan", "test", "911", d}, 0, "sip:911@psap.example.org\n"},
		{"remove a rule", []string{"dialplan", "rm", "3", d}, 0, "removed rule 911"},
		{"list as JSON", []string{"dialplan", "list", "--json", d}, 0, `"pattern": "7[01]??"`},
	})
	for args, want := range map[string]string{"--class student": "denied", "": "denied", "--class phd": "sip:89397242@itgw1.cs.example.edu"} {
		r := call(t, "", append([]string{"gatewaymap", "test", "+12129397242", d}, strings.Fields(args)...)...)
		if r.out != want+"\n" || (r.code != 0) != (want == "denied") || r.code > 1 {
			t.Errorf("%s: got %d %q, want %s", args, r.code, r.out, want)
		}
	}
	if r := call(t, "", "gatewaymap", "test", "+19145551234", "--class", "phd", d); r.code != 1 || r.out != "no match\n" {
		t.Errorf("got %d %q, want no match", r.code, r.out)
	}
	// A file comes back as it went in, also through standard input.
	out := must(t, "gatewaymap", "export", d)
	if r := call(t, out, "gatewaymap", "import", "-", d); r.code != 0 || r.out != "imported 5 rules\n" {
		t.Errorf("got %d %q %q, want no change", r.code, r.out, r.err)
	}
}

func TestGateways(t *testing.T) {
	d, _ := numbersDatabase(t)
	expect(t, []expectation{
		{"add", []string{"gateway", "add", "GW", "sip:192.0.2.7:5070;transport=tcp", "--net", "192.0.2.7", "--net", "192.0.2.8", "--class", "phd", "--max-calls", "24", d}, 0, "added gateway gw "},
		{"again", []string{"gateway", "add", "gw", "sip:192.0.2.9", d}, 1, "`sipd gateway set gw` changes it"},
		{"bad URI", []string{"gateway", "add", "gw2", "192.0.2.9", d}, 2, "write a URI such as sip:"},
		{"with a user", []string{"gateway", "add", "gw2", "sip:bob@192.0.2.9", d}, 2, "has a user"},
		{"no such class", []string{"gateway", "add", "gw2", "sip:192.0.2.9", "--net", "192.0.2.9", "--class", "guest", d}, 1, "class add guest"},
		{"class of whom", []string{"gateway", "add", "gw2", "sip:192.0.2.9", "--class", "phd", d}, 2, "nothing says which are its own"},
		{"list", []string{"gateway", "list", d}, 0, "gw    sip:192.0.2.7:5070;transport=tcp  on     192.0.2.7, 192.0.2.8  -         phd    24         1"},
		{"set nothing", []string{"gateway", "set", "gw", d}, 2, "nothing is to be changed"},
		{"set", []string{"gateway", "set", "gw", "--weight", "2", "--off", "--class", "NULL", "--uri", "sip:192.0.2.7", d}, 0, "changed gateway gw"},
		{"is off", []string{"gateway", "list", d}, 0, "gw    sip:192.0.2.7  off    192.0.2.7, 192.0.2.8  -         -      24         2"},
		{"up", []string{"gateway", "up", "gw", d}, 0, "gateway gw is up"},
		{"drain", []string{"gateway", "drain", "gw", d}, 0, "gateway gw is drained"},
		{"is drained", []string{"gateway", "list", d}, 0, "drained"},
		{"drain whom", []string{"gateway", "drain", "gw9", d}, 1, "there is no gateway gw9"},
		{"remove one in use", []string{"gateway", "rm", "gw", d}, 1, "rules 4 of the gateway map lead to gw"},
		{"remove it all the same", []string{"gateway", "rm", "gw", "--force", d}, 0, "removed gateway gw"},
		{"class in use", []string{"class", "rm", "phd", d}, 1, "class phd is named by rule 1 of the gateway map"},
		{"class of nobody", []string{"class", "add", "staff", d}, 0, "added gateway class staff"},
		{"class of somebody", []string{"user", "set", "bob@example.com", "-c", "staff", d}, 0, ""},
		{"class has users", []string{"class", "rm", "staff", d}, 2, "1 users are in the class"},
		{"class of no name", []string{"class", "add", "a b", d}, 2, "so that rules can name it"},
		{"class again", []string{"class", "add", "phd", d}, 1, "is there already"},
		{"class list", []string{"class", "list", d}, 0, "phd\nstaff\nstudent\n"},
	})
}

func TestGroupsAndForwards(t *testing.T) {
	d, _ := numbersDatabase(t)
	expect(t, []expectation{
		{"group", []string{"group", "add", "500", "alice@example.com", "bob@example.com", d}, 0, "group 500@example.com has 2 members"},
		{"one more", []string{"group", "add", "500", "carol@example.com", "--serial", "--delay", "15", "--priority", "2", d}, 0, "has 3 members"},
		{"serial for all", []string{"group", "list", "500", d}, 0, "500@example.com  alice@example.com  serial  0      0"},
		{"changed", []string{"group", "add", "500", "bob@example.com", "--delay", "5", "--priority", "1", "--json", d}, 0, `"delay_s": 5`},
		{"too long", []string{"group", "add", "500", "bob@example.com", "--delay", "500", d}, 2, "delay_s"},
		{"of nobody", []string{"group", "add", "501", "nobody@example.com", d}, 1, "there is no user nobody@example.com"},
		{"a user's name", []string{"group", "add", "alice", "bob@example.com", d}, 1, "alice@example.com is a user"},
		{"an alias", []string{"group", "add", "+12129397042", "bob@example.com", d}, 1, "is an alias of alice@example.com and no group"},
		{"rm an alias", []string{"group", "rm", "+12129397042", d}, 1, "is an alias and no group"},
		{"rm a member", []string{"group", "rm", "500", "bob@example.com", d}, 0, "removed bob@example.com of 500@example.com"},
		{"rm again", []string{"group", "rm", "500", "bob@example.com", d}, 1, "there is no group bob@example.com of 500@example.com"},
		{"rm", []string{"group", "rm", "500", d}, 0, "removed 500@example.com"},

		{"forward", []string{"forward", "set", "bob@example.com", "noanswer", "alice@example.com", "--after", "20", d}, 0, "noanswer goes to sip:alice@example.com"},
		{"to a number", []string{"forward", "set", "bob@example.com", "all", "+1 212", d}, 2, "target of a forward"},
		{"to a right number", []string{"forward", "set", "bob@example.com", "all", "+1212", d}, 0, "all goes to tel:+1212"},
		{"to himself", []string{"forward", "set", "bob@example.com", "busy", "bob@example.com", d}, 2, "to himself"},
		{"when", []string{"forward", "set", "bob@example.com", "never", "alice@example.com", d}, 2, "write all, busy, noanswer, offline"},
		{"after what", []string{"forward", "set", "bob@example.com", "busy", "alice@example.com", "--after", "3", d}, 2, "only noanswer"},
		{"of nobody", []string{"forward", "set", "nobody@example.com", "busy", "alice@example.com", d}, 1, "there is no user nobody@example.com"},
		{"forwards", []string{"forward", "list", d}, 0, "bob@example.com  noanswer  sip:alice@example.com  20"},
		{"forwards of one", []string{"forward", "list", "alice@example.com", "--json", d}, 0, "[]"},
		{"rm one", []string{"forward", "rm", "bob@example.com", "all", d}, 0, "removed forward all of bob@example.com"},
		{"rm all", []string{"forward", "rm", "bob@example.com", d}, 0, "removed all forwards"},
		{"rm none", []string{"forward", "rm", "bob@example.com", d}, 1, "has no such forward"},
	})
}

// A change that would send a tested number elsewhere is refused, whichever command makes it; --force does it and says who.
func TestPlanTestsGuardChanges(t *testing.T) {
	d, dir := numbersDatabase(t)
	writeFile(t, filepath.Join(dir, "dp2"), "7[01]?? tel:+1212854$\n(9)??????? tel:+1212$\n")
	expect(t, []expectation{
		{"add", []string{"plantest", "add", "7042", "sip:alice@example.com", d}, 0, "added plan test 1"},
		{"add another", []string{"plantest", "add", "95551234", "denied", "--class", "student", d}, 0, "added plan test 2"},
		{"again", []string{"plantest", "add", "7042", "denied", d}, 1, "there is a test of 7042"},
		{"of what", []string{"plantest", "add", "hello", "denied", d}, 2, "is no number"},
		{"expecting what", []string{"plantest", "add", "7043", "perhaps", d}, 2, "expected of 7043"},
		{"of whom", []string{"plantest", "add", "7043", "denied", "--class", "guest", d}, 1, "no gateway class guest"},
		{"list", []string{"plantest", "list", d}, 0, "2   95551234  student  denied"},
		{"run", []string{"plantest", "run", d}, 0, "2 of 2 plan tests pass"},
		{"diff", []string{"dialplan", "diff", dir + "/dp2", d}, 0, "7042    -      sip:alice@example.com  tel:+12128547042\n"},
		{"users of the diff", []string{"dialplan", "diff", dir + "/dp2", d}, 0, "1 users get other calls"},
		{"no diff", []string{"dialplan", "diff", dir + "/dp", d}, 0, "no known number is routed differently"},
		{"a file that breaks it", []string{"dialplan", "import", dir + "/dp2", d}, 1, "7042, class NULL: got denied, want sip:alice@example.com"},
		{"which lines do", []string{"dialplan", "import", dir + "/dp2", d}, 1, "by this change:\n  + 7[01]?? tel:+1212854$\n  - 7[01]?? tel:+1212939$\nnothing is changed"},
		{"the test of the diff", []string{"dialplan", "diff", dir + "/dp2", d}, 0, "7042    NULL   sip:alice@example.com  denied\n"},
		{"its number counts once", []string{"dialplan", "diff", dir + "/dp2", d}, 0, "\n1 numbers are routed differently"},
		{"also dry", []string{"dialplan", "import", dir + "/dp2", "--dry-run", d}, 1, "write --force"},
		{"a rule that breaks it", []string{"dialplan", "add", "7042", "sip:x@elsewhere.example", "--position", "1", d}, 1, "got sip:x@elsewhere.example"},
		{"the rule", []string{"dialplan", "rm", "1", d}, 1, "7042, class NULL"},
		{"the alias", []string{"alias", "rm", "+12129397042", "alice@example.com", d}, 2, ""},
		{"the alias in full", []string{"alias", "rm", "+12129397042@example.com", d}, 1, "7042, class NULL"},
		{"another alias", []string{"alias", "add", "+12129397042@example.com", "bob@example.com", d}, 1, "got ambiguous"},
		{"a group", []string{"group", "add", "7042", "bob@example.com", "carol@example.com", d}, 1, "got sip:bob@example.com sip:carol@example.com"},
		{"a gateway's rule", []string{"gatewaymap", "add", "(+1212555)*", "student", "sip:$@x.example", "--position", "1", d}, 1, "95551234, class student: got sip:1234@x.example, want denied"},
		{"all as before", []string{"plantest", "run", d}, 0, "2 of 2"},
		{"what breaks nothing", []string{"dialplan", "add", "8???", "tel:+1212940$", d}, 0, "added rule"},
		{"forced", []string{"dialplan", "rm", "1", "--force", d}, 0, "removed rule 7[01]??"},
		{"fails now", []string{"plantest", "run", "--json", d}, 1, ""},
		{"which does not refuse others", []string{"dialplan", "add", "6???", "tel:+1212941$", d}, 0, "added rule"},
		{"mended", []string{"dialplan", "import", dir + "/dp", d}, 0, "+ 7[01]?? tel:+1212939$"},
		{"passes again", []string{"plantest", "run", d}, 0, "2 of 2"},
		{"rm", []string{"plantest", "rm", "1", d}, 0, "removed plan test 1"},
		{"rm again", []string{"plantest", "rm", "1", d}, 1, "there is no plan test 1"},
		{"free", []string{"alias", "rm", "+12129397042@example.com", d}, 0, "removed alias"},
	})
	db, err := sqlstore.OpenExisting(t.Context(), strings.TrimPrefix(d, "-D"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	log, err := db.AuditLog(t.Context(), 100)
	if err != nil {
		t.Fatal(err)
	}
	forced := 0
	for _, e := range log {
		if !strings.HasPrefix(e.Actor, "os:") || len(e.Actor) == 3 {
			t.Errorf("got actor %q, want the user of the system", e.Actor)
		}
		if strings.HasPrefix(e.Detail, "forced, 1 plan tests would break:\n  7042") && e.Action == "dialplan rm" && strings.Contains(e.Detail, "- 7[01]??") {
			forced++
		}
	}
	if forced != 1 {
		t.Errorf("got %d forced changes in %+v, want one", forced, log)
	}
}

// What plan tests say of a number is what a call would do.
func TestPlanTestsAgreeWithCalls(t *testing.T) {
	d, _ := numbersDatabase(t)
	must(t, "dialplan", "add", "911", "sip:911@psap.example.org", "--emergency", d)
	must(t, "alias", "add", "201", "bob@example.com", d)
	must(t, "alias", "add", "300", "alice@example.com", d)
	must(t, "alias", "add", "300", "bob@example.com", d)
	for user, class := range map[string]string{"bob@example.com": "student", "carol@example.com": "phd"} {
		must(t, "user", "set", user, "-c", class, d)
		for _, number := range []string{"7042", "7139", "7242", "95551234", "911", "201", "300", "+18005551234", "+19145551234", "8", "sip:carol@example.com", "sip:x@example.com"} {
			uri := number
			if !strings.Contains(number, ":") {
				uri = "sip:" + number + "@example.com"
			}
			var call struct {
				Status  int
				Targets []struct{ URI string }
			}
			if err := json.Unmarshal([]byte(must(t, "explain", uri, "--from", user, "--json", d)), &call); err != nil {
				t.Fatal(err)
			}
			var uris []string
			for _, target := range call.Targets {
				uris = append(uris, target.URI)
			}
			does := strings.Join(uris, " ")
			switch call.Status {
			case 403:
				does = "denied"
			case 404:
				does = "nomatch"
			case 485:
				does = "ambiguous"
			case 480:
				does = "a user"
			}
			must(t, "plantest", "add", number, "nomatch", "--class", class, d)
			var tests []struct {
				ID            int64
				Number, Class string
				Got           string
			}
			r := callJSON(t, &tests, "plantest", "run", d)
			last := tests[len(tests)-1]
			got := last.Got
			if strings.HasSuffix(got, "@example.com") {
				got = "a user"
			}
			if got != does || last.Number != number || last.Class != class {
				t.Errorf("%s for %s: plan tests say %s, a call does %s (%d)", number, class, last.Got, does, r)
			}
		}
	}
}

// callJSON runs the program with --json and returns its exit status.
func callJSON(t *testing.T, to any, args ...string) int {
	t.Helper()
	r := call(t, "", append(args, "--json")...)
	if err := json.Unmarshal([]byte(r.out), to); err != nil {
		t.Fatalf("sipd %s: %v in %q, %s", strings.Join(args, " "), err, r.out, r.err)
	}
	return r.code
}

// Two who import at once do not interleave: the table is one file or the other.
func TestTwoAdministrators(t *testing.T) {
	d, dir := numbersDatabase(t)
	var files [2]string
	for i := range files {
		var b strings.Builder
		for n := range 200 {
			fmt.Fprintf(&b, "5%03d tel:+%d%03d\n", n, i+1, n)
		}
		files[i] = filepath.Join(dir, fmt.Sprint("file", i))
		writeFile(t, files[i], b.String())
	}
	var wg sync.WaitGroup
	for i := range 6 {
		wg.Go(func() {
			if r := call(t, "", "dialplan", "import", files[i%2], d); r.code != 0 {
				t.Errorf("got %d %s", r.code, r.err)
			}
		})
	}
	wg.Wait()
	out := must(t, "dialplan", "export", d)
	a, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(files[1])
	if err != nil {
		t.Fatal(err)
	}
	if out != string(a) && out != string(b) {
		t.Errorf("got %d lines that are neither file", strings.Count(out, "\n"))
	}
	var views []struct {
		ID       int64
		Position int
	}
	if err := json.Unmarshal([]byte(must(t, "dialplan", "list", "--json", d)), &views); err != nil || len(views) != 200 {
		t.Errorf("got %d rows, %v; want 200", len(views), err)
	}
}

// A program that goes round the commands is refused a bad row, too.
func TestStoreRefusesBadRules(t *testing.T) {
	d, _ := numbersDatabase(t)
	db, err := sqlstore.OpenExisting(t.Context(), strings.TrimPrefix(d, "-D"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.ChangePlan(t.Context(), func(tx store.PlanTx) error {
		p, err := tx.Plan()
		if err != nil {
			return err
		}
		p.DialRules[0].Pattern = "7["
		return tx.SetPlan(p)
	}); err == nil || !strings.Contains(err.Error(), "7[") {
		t.Errorf("got %v, want the pattern refused", err)
	}
}
