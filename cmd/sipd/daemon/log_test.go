package daemon

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestLevels(t *testing.T) {
	tests := []struct {
		on   []string
		want string // of the messages below
	}{
		{nil, "info"},
		{[]string{"sql"}, "info cache"},
		{[]string{"net"}, "info transport"},
		{[]string{"misc"}, "info auth none"},
		{[]string{"all"}, "info cache transport auth none"},
		{[]string{"sdp", "sql"}, "info cache"},
	}
	for _, tt := range tests {
		var out bytes.Buffer
		var levels Levels
		log := NewLogger(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}), &levels)
		children := map[string]*slog.Logger{}
		for _, pkg := range []string{"cache", "transport", "auth"} {
			children[pkg] = log.With("pkg", pkg)
		}
		levels.Set(tt.on) // after the loggers were made: a reload must reach them
		children["cache"].Info("info")
		for _, pkg := range []string{"cache", "transport", "auth"} {
			children[pkg].WithGroup("g").Debug(pkg)
		}
		log.Debug("none")
		var got []string
		for line := range strings.Lines(out.String()) {
			_, rest, _ := strings.Cut(line, "msg=")
			got = append(got, strings.Fields(rest)[0])
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("-d %v: got %q, want %q", tt.on, s, tt.want)
		}
	}
}
