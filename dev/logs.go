package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/internal/telemetry"
)

// logFile is the log of the present run, with that of the one before beside it.
const logFile = "hcp.log"

// logs are where the parts write: a file has it all, the terminal what is
// asked for of our own parts. Temporal logs much that concerns nobody, so that
// it has the file alone.
type logs struct {
	own, temporal *slog.Logger
	file          *os.File
}

func openLogs(dir *stack.Dir, level string, terminal io.Writer) (*logs, error) {
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, fmt.Errorf("--log-level %q is not debug, info, warn or error", level)
	}
	path := dir.File(logFile)
	if err := os.Rename(path, path+".1"); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("log file: %w", err)
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600) //nolint:gosec // the user names the directory
	if err != nil {
		return nil, fmt.Errorf("log file: %w", err)
	}
	l := &logs{file: file}
	own := slog.NewJSONHandler(file, &slog.HandlerOptions{Level: slog.LevelInfo})
	l.own = slog.New(telemetry.Handler(slog.NewMultiHandler(own, slog.NewTextHandler(terminal, &slog.HandlerOptions{Level: least}))))
	l.temporal = slog.New(slog.NewJSONHandler(file, &slog.HandlerOptions{Level: slog.LevelWarn})).With("part", "temporal")
	slog.SetDefault(slog.New(own)) // libraries that write to the standard logger
	return l, nil
}

func (l *logs) close() error { return l.file.Close() }
