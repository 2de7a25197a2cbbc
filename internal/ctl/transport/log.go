package transport

import (
	"log/slog"
	"net/http"
	"time"
)

// Log writes a line for each attempt: never a header that bears a secret,
// never a body.
type Log struct {
	Next   http.RoundTripper
	Logger *slog.Logger
}

// RoundTrip implements http.RoundTripper.
func (l *Log) RoundTrip(req *http.Request) (*http.Response, error) {
	started := time.Now()
	resp, err := l.Next.RoundTrip(req)
	attrs := []slog.Attr{
		slog.String("method", req.Method),
		slog.String("url", req.URL.Redacted()),
		slog.Duration("took", time.Since(started).Round(time.Millisecond)),
		slog.Bool("authorized", req.Header.Get("Authorization") != ""),
	}
	if key := req.Header.Get(HeaderIdempotencyKey); key != "" {
		attrs = append(attrs, slog.String("idempotency_key", key))
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	} else {
		attrs = append(attrs, slog.Int("status", resp.StatusCode), slog.String("request_id", resp.Header.Get(HeaderRequestID)))
		if resp.Header.Get("Idempotency-Replayed") == "true" {
			attrs = append(attrs, slog.Bool("replayed", true))
		}
	}
	l.Logger.LogAttrs(req.Context(), slog.LevelDebug, "request", attrs...)
	return resp, err
}
