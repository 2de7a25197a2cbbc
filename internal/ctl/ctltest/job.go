package ctltest

import (
	"encoding/json"
	"fmt"
	"net/http"
)

// Event is one server-sent event.
type Event struct {
	Name string
	ID   string
	Data any
}

// Events answers a stream that ends after the events.
func Events(w http.ResponseWriter, events ...Event) {
	w.Header().Set("Content-Type", "text/event-stream")
	w.WriteHeader(http.StatusOK)
	for _, e := range events {
		Emit(w, e)
	}
}

// Emit writes one event to a stream that was begun.
func Emit(w http.ResponseWriter, e Event) {
	raw, err := json.Marshal(e.Data)
	if err != nil {
		panic(err) // a test's own value
	}
	_, _ = fmt.Fprintf(w, "event: %s\nid: %s\ndata: %s\n\n", e.Name, e.ID, raw)
	if f, ok := w.(http.Flusher); ok {
		f.Flush()
	}
}

// Job is a job in a state with its steps.
func Job(state string, steps ...map[string]any) map[string]any {
	done := 0
	for _, s := range steps {
		if s["state"] == "SUCCEEDED" {
			done++
		}
	}
	job := map[string]any{
		"id": SampleJob, "type": "vm.create", "project_id": SampleID, "resource": map[string]any{"type": "vm", "id": SampleID}, "state": state,
		"progress":     map[string]any{"percent": 0, "current_step": "", "steps_done": done, "steps_total": len(steps)},
		"steps":        append([]map[string]any{}, steps...),
		"compensation": "NONE", "cancellable": true, "requested_by": "alice", "request_id": "req-0", "run": 1, "created_at": SampleTime,
	}
	if state == "SUCCEEDED" {
		job["finished_at"] = "2026-01-02T03:04:07Z"
	}
	return job
}

// Failed is a job that failed.
func Failed(code, message, compensation string) map[string]any {
	job := Job("FAILED")
	job["error"] = map[string]any{"code": code, "message": message}
	job["compensation"] = compensation
	return job
}

// Step is a step of a job.
func Step(name, title, state string, attempt int) map[string]any {
	s := map[string]any{"name": name, "title": title, "state": state, "attempt": attempt, "job_id": SampleJob, "run": 1}
	if state != "PENDING" {
		s["started_at"] = SampleTime
	}
	if state == "SUCCEEDED" || state == "FAILED" {
		s["finished_at"] = "2026-01-02T03:04:05.1Z"
	}
	return s
}
