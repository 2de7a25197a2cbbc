package watch

import (
	"context"
	"encoding/json"
	"mime"
	"net/http"
	"slices"
	"time"

	"github.com/hypervisor-control-plane/hcp/client"
)

// position is where the following of a stream stands.
type position struct {
	job    client.Job
	lastID string
	retry  time.Duration
	seen   bool // the present stream brought something
}

// stream follows the events, coming back with the last event's ID whenever the
// stream is cut. errNoStream is returned where there are no events, or where
// streams keep ending without any.
func (f *Follower) stream(ctx context.Context, job client.Job, emit func(Update) error) (client.Job, error) {
	p := position{job: job, retry: reconnect}
	for barren := 0; barren < streamTries; {
		p.seen = false
		usable, err := f.oneStream(ctx, &p, emit)
		if err != nil || Over(p.job) {
			return p.job, err
		}
		if !usable {
			return p.job, errNoStream
		}
		if barren++; p.seen {
			barren = 0
		}
		if ctx.Err() != nil {
			return p.job, ctx.Err()
		}
		if err := f.Sleep(ctx, p.retry); err != nil {
			return p.job, err
		}
	}
	return p.job, errNoStream
}

// oneStream follows one connection until it ends. Only what no new connection
// mends is an error; not usable means that the server has no such stream.
func (f *Follower) oneStream(ctx context.Context, p *position, emit func(Update) error) (usable bool, err error) {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	// A connection that died without a word is noticed by its silence.
	watchdog := time.AfterFunc(silence, cancel)
	defer watchdog.Stop()

	resp, err := f.API.Stream(inner, p.lastID)
	if err != nil {
		return true, nil
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	if kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type")); err != nil || resp.StatusCode != http.StatusOK || kind != "text/event-stream" {
		return false, nil
	}
	events := newDecoder(resp.Body, func() { watchdog.Reset(silence) })
	for {
		e, err := events.next()
		if err != nil {
			return true, nil
		}
		if e.retry > 0 {
			p.retry = min(maxPause, e.retry)
		}
		if e.id != "" {
			p.lastID = e.id
		}
		if done, err := p.take(e, emit); done || err != nil {
			return true, err
		}
	}
}

// take applies one event. Kinds that are not known are passed over; those by
// which the server announces the end of the stream come before its end.
func (p *position) take(e event, emit func(Update) error) (done bool, err error) {
	switch e.kind {
	case "job":
		var job client.Job
		if !decode(e.data, &job) || job.ID == "" {
			return false, nil
		}
		p.job = job
	case "step":
		var step client.JobStep
		if !decode(e.data, &step) || step.Name == "" {
			return false, nil
		}
		p.merge(step)
	default:
		return false, nil
	}
	p.seen = true
	return Over(p.job), emit(Update{Job: p.job})
}

// decode reports whether data is such a value; an event that is not understood
// is passed over, for the job is read again in the end.
func decode(data []byte, v any) bool { return json.Unmarshal(data, v) == nil }

// merge puts a step's new state into a copy of the job: the one before may
// still be drawn.
func (p *position) merge(step client.JobStep) {
	steps := slices.Clone(p.job.Steps)
	i := slices.IndexFunc(steps, func(s client.JobStep) bool { return s.Name == step.Name })
	if i < 0 {
		steps = append(steps, step)
	} else {
		steps[i] = step
	}
	p.job.Steps = steps
	if p.job.State == client.JobStateQUEUED {
		p.job.State = client.JobStateRUNNING
	}
	done := 0
	for _, s := range steps {
		if s.State == client.StepStateSUCCEEDED || s.State == client.StepStateSKIPPED {
			done++
		}
	}
	p.job.Progress.StepsDone = done
	p.job.Progress.StepsTotal = max(p.job.Progress.StepsTotal, len(steps))
	if step.State == client.StepStateRUNNING || step.State == client.StepStateWAITING {
		p.job.Progress.CurrentStep = step.Name
	}
	// Between two states of the job, the steps say how far it is.
	p.job.Progress.Percent = max(p.job.Progress.Percent, 100*done/max(1, p.job.Progress.StepsTotal))
}
