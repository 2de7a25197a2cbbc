// Package watch follows a job to its end: by server-sent events, where those
// are not to be had by long polls, and in the worst case by plain reads. It
// imports the generated client and, of ours, packages fail, terminal and
// transport.
package watch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
)

// API is how a job is reached; paths and tokens are the caller's matter.
type API interface {
	// Stream opens the events of the job after the one with an ID.
	Stream(ctx context.Context, lastEventID string) (*http.Response, error)
	// Read reads the job; with wait it is answered when the job has changed.
	Read(ctx context.Context, wait time.Duration) (*http.Response, error)
}

// Update is a state of the job that was seen.
type Update struct {
	Job  client.Job
	Note string // trouble with the connection, for people; the job is as before
}

// Follower follows one job.
type Follower struct {
	API   API
	Sleep func(context.Context, time.Duration) error
	Watch string // the command that follows a job, for errors
}

// Times of the following.
const (
	longPoll    = 25 * time.Second
	pollPause   = time.Second
	quickAnswer = 500 * time.Millisecond // a long poll answered sooner did not wait
	reconnect   = 2 * time.Second
	maxPause    = 15 * time.Second
	silence     = 45 * time.Second // servers send a comment every 15 seconds
	streamTries = 3                // streams in a row that bring nothing
)

// Over reports whether a job has ended.
func Over(j client.Job) bool {
	switch j.State {
	case client.JobStateSUCCEEDED, client.JobStateFAILED, client.JobStateCANCELLED:
		return true
	case client.JobStateQUEUED, client.JobStateRUNNING, client.JobStateWAITING, client.JobStateCOMPENSATING:
		return false
	}
	return false
}

// Follow calls emit for each state that it sees, and returns the job when it
// has ended. Trouble with the connection is waited out until ctx is over; what
// no waiting mends (a refused token, an unknown job) is an error.
func (f *Follower) Follow(ctx context.Context, emit func(Update) error) (client.Job, error) {
	job, err := f.patientRead(ctx, client.Job{}, 0, emit)
	if err != nil {
		return job, err
	}
	if err := emit(Update{Job: job}); err != nil || Over(job) {
		return job, err
	}
	job, err = f.stream(ctx, job, emit)
	if !errors.Is(err, errNoStream) {
		return job, err
	}
	return f.poll(ctx, job, emit)
}

// errNoStream says that events are not to be had.
var errNoStream = errors.New("no event stream")

// poll reads the job until it has ended.
func (f *Follower) poll(ctx context.Context, job client.Job, emit func(Update) error) (client.Job, error) {
	wait := longPoll
	for {
		started := time.Now()
		next, err := f.patientRead(ctx, job, wait, emit)
		if e, ok := errors.AsType[*fail.Error](err); ok && e.Status == http.StatusBadRequest && wait > 0 {
			wait = 0 // this server knows no long poll
			continue
		}
		if err != nil {
			return job, err
		}
		job = next
		if err := emit(Update{Job: job}); err != nil || Over(job) {
			return job, err
		}
		if time.Since(started) < quickAnswer {
			if err := f.Sleep(ctx, pollPause); err != nil {
				return job, err
			}
		}
	}
}

// patientRead reads the job; while the server is away it tries again, and
// tells so once.
func (f *Follower) patientRead(ctx context.Context, known client.Job, wait time.Duration, emit func(Update) error) (client.Job, error) {
	for pause := reconnect; ; pause = min(maxPause, pause*2) {
		job, err := f.read(ctx, wait)
		if err == nil || ctx.Err() != nil || !passing(err) {
			return job, err
		}
		if known.ID == "" {
			return job, err // nothing was seen yet: the server may be the wrong one
		}
		if err := emit(Update{Job: known, Note: "the server is away, trying again in " + pause.String()}); err != nil {
			return known, err
		}
		if err := f.Sleep(ctx, pause); err != nil {
			return known, err
		}
	}
}

// passing reports whether an error may be gone at the next attempt.
func passing(err error) bool {
	e, ok := errors.AsType[*fail.Error](err)
	if !ok {
		return true
	}
	return e.Status >= http.StatusInternalServerError || e.Status == http.StatusTooManyRequests
}

// jobLimit bounds the size of a job's JSON.
const jobLimit = 8 << 20

func (f *Follower) read(ctx context.Context, wait time.Duration) (job client.Job, err error) {
	resp, err := f.API.Read(ctx, wait)
	if err != nil {
		return job, err
	}
	defer resp.Body.Close() //nolint:errcheck // only read from
	raw, err := io.ReadAll(io.LimitReader(resp.Body, jobLimit))
	if err != nil {
		return job, err
	}
	if resp.StatusCode != http.StatusOK {
		return job, fail.FromAnswer(resp.StatusCode, resp.Header, raw, f.Watch)
	}
	if err := json.Unmarshal(raw, &job); err != nil {
		return job, fmt.Errorf("the server's job is not understood: %w", err)
	}
	return job, nil
}
