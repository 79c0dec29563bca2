package daemon

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
)

// The categories of -d (BEHAVIOUR C5) and the packages each one covers. A package that stands nowhere is misc.
var categories = map[string]string{
	"store": "sql", "sqlstore": "sql", "cache": "sql", "location": "sql", "requestlog": "sql",
	"transport": "net", "transaction": "net",
	"media": "sdp", "mediaproxy": "sdp",
}

// Levels says which categories log debug output. The zero value is none. It may be changed while loggers use it.
type Levels struct{ on atomic.Pointer[[]string] }

// Set replaces the categories.
func (l *Levels) Set(categories []string) {
	categories = slices.Clone(categories)
	l.on.Store(&categories)
}

func (l *Levels) has(category string) bool {
	on := l.on.Load()
	return on != nil && (slices.Contains(*on, category) || slices.Contains(*on, "all"))
}

// NewLogger returns a logger that passes info and above on, and debug output of the categories of levels. Loggers made
// with With("pkg", name) belong to the category of the package.
func NewLogger(to slog.Handler, levels *Levels) *slog.Logger {
	return slog.New(&categoryHandler{to: to, levels: levels, category: "misc"})
}

type categoryHandler struct {
	to       slog.Handler // passes debug on
	levels   *Levels
	category string
}

func (h *categoryHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo || level >= slog.LevelDebug && h.levels.has(h.category)
}

func (h *categoryHandler) Handle(ctx context.Context, r slog.Record) error {
	return h.to.Handle(ctx, r)
}

func (h *categoryHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.to = h.to.WithAttrs(attrs)
	for _, a := range attrs {
		if a.Key != "pkg" {
			continue
		}
		c.category = "misc"
		if category, ok := categories[a.Value.String()]; ok {
			c.category = category
		}
	}
	return &c
}

func (h *categoryHandler) WithGroup(name string) slog.Handler {
	c := *h
	c.to = h.to.WithGroup(name)
	return &c
}
