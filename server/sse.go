package server

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

const (
	// eventTimeout bounds the sending of one event: a client that does not read
	// holds no more than that.
	eventTimeout = 5 * time.Second
	// reconnectAfter is how long an EventSource waits before it comes again.
	reconnectAfter = 2 * time.Second
)

// eventWriter writes server-sent events (WHATWG HTML, section 9.2).
type eventWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func newEventWriter(w http.ResponseWriter) *eventWriter {
	inner := w
	if u, ok := w.(interface{ Unwrap() http.ResponseWriter }); ok {
		inner = u.Unwrap() // Echo's own keeps the error of a flush to itself
	}
	return &eventWriter{w: w, rc: http.NewResponseController(inner)}
}

// open sends the head, and how soon to come again.
func (e *eventWriter) open() error {
	h := e.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies pass each event on at once
	e.w.WriteHeader(http.StatusOK)
	return e.write(fmt.Appendf(nil, "retry: %d\n\n", reconnectAfter.Milliseconds()))
}

// event sends one event; one without an ID leaves the client's place as it is.
func (e *eventWriter) event(id, name string, data any) error {
	body, err := json.Marshal(data) // has no line breaks
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if id != "" {
		fmt.Fprintf(&b, "id: %s\n", id)
	}
	fmt.Fprintf(&b, "event: %s\ndata: %s\n\n", name, body)
	return e.write(b.Bytes())
}

// comment shows that the stream is alive.
func (e *eventWriter) comment() error { return e.write([]byte(":\n\n")) }

func (e *eventWriter) write(b []byte) error {
	// The deadline stands after the last event, for the end of the answer; the
	// server sets the next request's own.
	_ = e.rc.SetWriteDeadline(time.Now().Add(eventTimeout))
	if _, err := e.w.Write(b); err != nil {
		return err
	}
	return e.rc.Flush()
}
