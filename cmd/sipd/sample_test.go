package main

import (
	"strings"
	"testing"
)

// TestSampleGateways loads the sample of the classic's manual as it stands there, and asks for numbers of each kind.
func TestSampleGateways(t *testing.T) {
	d := database(t)
	const sample = "testdata/gateways_sample.txt"
	if r := call(t, "", "gatewaymap", "import", sample, d); r.code != 2 || !strings.Contains(r.err, "line 4: ") || !strings.Contains(r.err, "`sipd class add student` first") {
		t.Errorf("without classes: got %d %q, want what to write for each line", r.code, r.err)
	}
	for _, class := range []string{"student", "phd", "faculty", "staff", "guest"} {
		must(t, "class", "add", class, d)
	}
	if out := must(t, "gatewaymap", "import", sample, d); !strings.HasSuffix(out, "imported 5 rules\n") {
		t.Errorf("got %q, want 5 rules", out)
	}
	ask := func(number, class, want string) {
		t.Helper()
		args := []string{"gatewaymap", "test", number, d}
		if class != "" {
			args = append(args, "--class", class)
		}
		code := exitDone
		if want == "denied" || want == "no match" {
			code = 1
		}
		if r := call(t, "", args...); r.code != code || r.out != want+"\n" {
			t.Errorf("%s for %q: got %d, %q %q, want %s", number, class, r.code, r.out, r.err, want)
		}
	}
	for _, tt := range []struct{ number, class, want string }{
		{"+12129397139", "student", "sip:test@128.59.19.196"}, // Three rules have it: the first decides.
		{"+1-212-939-7139", "", "denied"},
		{"+12129397042", "student", "sip:7042@itgw1.cs.columbia.edu"},
		{"+12129397042", "guest", "denied"},
		{"+12129397242", "student", "denied"},
		{"+12129397242", "phd", "sip:89397242@itgw1.cs.columbia.edu"},
		{"+12128541234", "student", "sip:41234@itgw1.cs.columbia.edu"},
		{"+12125551234", "phd", "sip:85551234@itgw1.cs.columbia.edu"},
		{"+12125551234", "student", "denied"},
		{"+12125551234", "", "denied"},
		{"+13475551234", "staff", "sip:813475551234@itgw1.cs.columbia.edu"},
		{"+19145551234", "faculty", "no match"},
		{"12125551234", "faculty", "no match"}, // The dial plan has to add the +.
		{"+1212555123", "faculty", "no match"},
		{"+121255512345", "faculty", "no match"},
	} {
		ask(tt.number, tt.class, tt.want)
	}
	// Rules behind those of the sample: any class, one pattern for two classes, whatever follows.
	must(t, "class", "add", "admin", d)
	for _, rule := range [][]string{
		{"(+1800)???????", "*", "sip:91800$@gw"},
		{"(+1900)???????", "staff", "sip:$@gwa"},
		{"(+1900)???????", "*", "sip:$@gwb"},
		{"(+)*", "admin", "sip:9011$@gw"},
	} {
		must(t, append([]string{"gatewaymap", "add", d}, rule...)...)
	}
	for _, tt := range []struct{ number, class, want string }{
		{"+18005551234", "student", "sip:918005551234@gw"},
		{"+18005551234", "", "denied"},
		{"+19005551234", "staff", "sip:5551234@gwa"},
		{"+19005551234", "student", "sip:5551234@gwb"},
		{"+442079460000", "admin", "sip:9011442079460000@gw"},
	} {
		ask(tt.number, tt.class, tt.want)
	}
	if r := call(t, "", "gatewaymap", "test", "+", "--class", "admin", d); r.code == exitDone {
		t.Errorf("+ alone: got %q, want no gateway", r.out)
	}
}

// TestSampleDialPlan is the extensions, the outside line and the emergency numbers of the same campus.
func TestSampleDialPlan(t *testing.T) {
	d, dir := database(t), t.TempDir()
	writeFile(t, dir+"/dialplan", `# extensions are the last four digits
7[01]?? tel:+1212939$
# outside
(9)??????? tel:+1212$
(9011)* tel:+$
{911,9911} sip:911@psap
`)
	must(t, "dialplan", "import", dir+"/dialplan", d)
	for number, want := range map[string]string{
		"7042": "tel:+12129397042", "713-9": "tel:+12129397139", "95551234": "tel:+12125551234",
		"9011442079460000": "tel:+442079460000", "911": "sip:911@psap", "9911": "sip:911@psap", "7242": "no match", "71": "no match",
	} {
		if r := call(t, "", "dialplan", "test", number, d); r.out != want+"\n" || (r.code == exitDone) != (want != "no match") {
			t.Errorf("%s: got %d, %q %q, want %s", number, r.code, r.out, r.err, want)
		}
	}
}
