package embedded

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"sync/atomic"

	"go.temporal.io/server/common/log"
	"go.temporal.io/server/common/log/tag"
)

// fatalLogger passes the server's log on to slog. The server calls Fatal where
// it cannot go on, and expects the process to end; here only the goroutine
// ends, and whoever runs the server is told.
type fatalLogger struct {
	inner    *slog.Logger
	fatal    chan error // buffered: the first one counts
	stopping atomic.Bool
}

var _ log.Logger = (*fatalLogger)(nil)

func newFatalLogger(l *slog.Logger) *fatalLogger {
	return &fatalLogger{inner: l, fatal: make(chan error, 1)}
}

func (l *fatalLogger) write(level slog.Level, msg string, tags []tag.Tag) {
	ctx := context.Background()
	if !l.inner.Enabled(ctx, level) {
		return
	}
	l.inner.LogAttrs(ctx, level, msg, attrs(tags)...)
}

func attrs(tags []tag.Tag) []slog.Attr {
	out := make([]slog.Attr, len(tags))
	for i, t := range tags {
		out[i] = slog.Any(t.Key(), t.Value())
	}
	return out
}

func (l *fatalLogger) Debug(msg string, tags ...tag.Tag)  { l.write(slog.LevelDebug, msg, tags) }
func (l *fatalLogger) Info(msg string, tags ...tag.Tag)   { l.write(slog.LevelInfo, msg, tags) }
func (l *fatalLogger) Warn(msg string, tags ...tag.Tag)   { l.write(slog.LevelWarn, msg, tags) }
func (l *fatalLogger) DPanic(msg string, tags ...tag.Tag) { l.write(slog.LevelError, msg, tags) }

// Error is logged as a warning while the server stops: calls between its
// services are then cut off, as they must be.
func (l *fatalLogger) Error(msg string, tags ...tag.Tag) {
	level := slog.LevelError
	if l.stopping.Load() {
		level = slog.LevelWarn
	}
	l.write(level, msg, tags)
}

func (l *fatalLogger) Panic(msg string, tags ...tag.Tag) { l.Fatal(msg, tags...) }

func (l *fatalLogger) Fatal(msg string, tags ...tag.Tag) {
	l.write(slog.LevelError, msg, tags)
	if !l.stopping.Load() {
		select {
		case l.fatal <- fmt.Errorf("temporal: %s: %v", msg, attrs(tags)):
		default:
		}
	}
	runtime.Goexit()
}

// discard is an SDK logger that writes nothing.
type discard struct{}

func (discard) Debug(string, ...any) {}
func (discard) Info(string, ...any)  {}
func (discard) Warn(string, ...any)  {}
func (discard) Error(string, ...any) {}
