package command

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/terminal"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/watch"
)

// waiting are the flags of commands that wait for a job.
type waiting struct {
	noWait  bool
	timeout time.Duration
}

// defaultTimeout is how long a command waits for its job.
const defaultTimeout = 30 * time.Minute

func (w *waiting) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&w.noWait, "no-wait", false, "print the ID of the job and do not wait for it")
	cmd.Flags().DurationVar(&w.timeout, "timeout", defaultTimeout, "how long to wait; the job goes on")
	cmd.MarkFlagsMutuallyExclusive("no-wait", "timeout")
}

// goal is the state of the job that means success.
type goal struct {
	state client.JobState
	ops   bool // the job is followed on the ops plane
}

// working makes a command whose change is a job.
func (a *App) working(s spec, g goal) *cobra.Command {
	var yes bool
	var key, match string
	var w waiting
	cmd := a.command(s, func(c *call) error {
		p, err := a.printer()
		if err != nil {
			return err
		}
		if err := c.confirm(s, yes); err != nil {
			return err
		}
		req, err := s.request(c)
		if err != nil {
			return err
		}
		if match != "" {
			req.Header.Set("If-Match", match)
		}
		got, err := c.change(c.cmd.Context(), req, key)
		if err != nil {
			return err
		}
		var accepted client.Accepted
		if err := json.Unmarshal(got.body, &accepted); err != nil {
			return fmt.Errorf("the server's answer is not understood: %w", err)
		}
		r := result{call: c, spec: s, accepted: accepted, raw: got.body, printer: p}
		if w.noWait {
			return r.printAccepted()
		}
		job, err := c.follow(c.cmd.Context(), accepted.JobID, g.ops, w.timeout)
		if err != nil {
			return err
		}
		return r.print(job, g)
	})
	a.changeFlags(cmd, s, &yes, &key, &match)
	w.flags(cmd)
	return cmd
}

// jobAPI reaches one job through the generated client.
type jobAPI struct {
	*conn
	id  string
	ops bool
}

// Stream implements watch.API.
func (j jobAPI) Stream(ctx context.Context, lastEventID string) (*http.Response, error) {
	var last *string
	if lastEventID != "" {
		last = &lastEventID
	}
	var req *http.Request
	var err error
	if j.ops {
		req, err = client.NewOpsStreamJobEventsRequest(j.server, j.id, &client.OpsStreamJobEventsParams{LastEventID: last})
	} else {
		req, err = client.NewStreamJobEventsRequest(j.server, j.id, &client.StreamJobEventsParams{LastEventID: last})
	}
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream")
	return j.try(ctx, req)
}

// Read implements watch.API.
func (j jobAPI) Read(ctx context.Context, wait time.Duration) (*http.Response, error) {
	var d *client.Wait
	if wait > 0 {
		s := fmt.Sprintf("PT%dS", wait/time.Second)
		d = &s
	}
	var req *http.Request
	var err error
	if j.ops {
		req, err = client.NewOpsGetJobRequest(j.server, j.id, &client.OpsGetJobParams{Wait: d})
	} else {
		req, err = client.NewGetJobRequest(j.server, j.id, &client.GetJobParams{Wait: d})
	}
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "application/json")
	return j.try(ctx, req)
}

// try sends a request; credentials that are refused are an error that no
// waiting mends.
func (j jobAPI) try(ctx context.Context, req *http.Request) (*http.Response, error) {
	resp, err := j.open(ctx, req)
	if err != nil && refused(err) {
		return nil, notLoggedIn(err)
	}
	return resp, err
}

// follow waits for a job with its progress on standard error. It fails where
// the wait ends before the job does.
func (c *conn) follow(ctx context.Context, id string, ops bool, timeout time.Duration) (client.Job, error) {
	inner, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	words := []string{"job", "watch"}
	if ops {
		words = []string{"ops", "job", "watch"}
	}
	quiet := *c
	quiet.http = c.silent
	f := &watch.Follower{API: jobAPI{&quiet, id, ops}, Sleep: c.app.Sleep, Watch: c.app.again(words...)}
	style := terminal.Detect(c.app.Stderr, c.app.Env, c.app.flags.ascii)
	style.Live = style.Live && !c.app.flags.verbose // a log cannot be drawn around
	p := watch.NewProgress(c.app.Stderr, style)
	job, err := p.Follow(inner, f)
	if err == nil {
		return job, nil
	}
	words[len(words)-1] = "cancel"
	resume, stop := f.Watch+" "+id, c.app.again(words...)+" "+id
	switch {
	case errors.Is(err, errShown):
		return job, err
	case ctx.Err() != nil:
		_, _ = fmt.Fprintln(c.app.Stderr) // a line of its own after ^C
		return job, (&fail.Error{Message: "no longer waiting; the job goes on", Exit: fail.Detached, Err: err}).
			Then("Watch it again: "+resume, "Cancel it:      "+stop)
	case inner.Err() != nil:
		return job, (&fail.Error{Message: fmt.Sprintf("the wait of %s is over; the job goes on", timeout), Exit: fail.Timeout, Err: err}).
			Then("Wait on: " + resume)
	}
	if e, ok := errors.AsType[*fail.Error](err); ok {
		return job, e.Then("The job may go on. Watch it again: " + resume)
	}
	return job, c.unreachable(err)
}
