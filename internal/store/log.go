package store

import (
	"context"
	"log/slog"
	"time"

	"gorm.io/gorm/logger"
)

// slowQuery is when a statement is worth a line in the log.
const slowQuery = 200 * time.Millisecond

// queryLogger reports slow statements, with placeholders and never with
// values. Errors go to the caller, who logs them once.
type queryLogger struct{ logger *slog.Logger }

// LogMode implements logger.Interface; the level is slog's.
func (l queryLogger) LogMode(logger.LogLevel) logger.Interface { return l }

// Info implements logger.Interface.
func (queryLogger) Info(context.Context, string, ...any) {}

// Warn implements logger.Interface. GORM's warnings may hold values.
func (queryLogger) Warn(context.Context, string, ...any) {}

// Error implements logger.Interface. GORM's errors may hold values.
func (queryLogger) Error(context.Context, string, ...any) {}

// Trace implements logger.Interface.
func (l queryLogger) Trace(ctx context.Context, begin time.Time, statement func() (string, int64), _ error) {
	took := time.Since(begin)
	if took < slowQuery {
		return
	}
	sql, rows := statement()
	l.logger.WarnContext(ctx, "slow statement", slog.String("sql", sql), slog.Duration("took", took), slog.Int64("rows", rows))
}

// ParamsFilter keeps values out of the statement that Trace is given.
func (queryLogger) ParamsFilter(_ context.Context, sql string, _ ...any) (string, []any) {
	return sql, nil
}

var _ logger.Interface = queryLogger{}
