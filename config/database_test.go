package config

import (
	"strings"
	"testing"
)

func TestMaskURL(t *testing.T) {
	for in, want := range map[string]string{
		"postgres://u:hush@h/d":                                      "postgres://u:********@h/d",
		"postgres://u:hu@sh@h/d":                                     "postgres://u:********@h/d",
		"postgres://h/d?user=u&password=hush":                        "postgres://h/d?user=u&password=********",
		"postgres:///d?host=/run&PASSWORD=hush&sslpassword=hush&x=1": "postgres:///d?host=/run&PASSWORD=********&sslpassword=********&x=1",
		"sql://u:hush@h/d?password=hu@sh":                            "sql://u:********@h/d?password=********",
		"sqlite:/var/lib/sipd.db":                                    "sqlite:/var/lib/sipd.db",
	} {
		if got := MaskURL(in); got != want || strings.Contains(got, "hush") {
			t.Errorf("MaskURL(%q): got %q, want %q", in, got, want)
		}
	}
	if _, err := ParseDatabase("sql:///d?password=hush"); err == nil || strings.Contains(err.Error(), "hush") {
		t.Errorf("got %v, want an error without the password", err)
	}
}
