package command

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func jobResource() output.Resource {
	return output.Resource{Kind: "job", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "type", Path: "type"},
		{Header: "state", Path: "state"},
		{Header: "percent", Path: "progress.percent"},
		{Header: "resource", Path: "resource.id"},
		{Header: "error", Path: "error.code"},
		{Header: "age", Path: "created_at", Age: true},
		{Header: "tenant", Path: "tenant_id", Wide: true},
		{Header: "message", Path: "error.message", Wide: true, Flex: true},
		{Header: "step", Path: "progress.current_step", Wide: true},
		{Header: "compensation", Path: "compensation", Wide: true},
		{Header: "run", Path: "run", Wide: true},
		{Header: "requested_by", Path: "requested_by", Wide: true},
		{Header: "started", Path: "started_at", Wide: true},
		{Header: "finished", Path: "finished_at", Wide: true},
	}}
}

func jobKinds(f *filters) {
	f.many("type", "type", "kind of operation, such as vm.create")
	f.many("outcome", "outcome", "OPEN, SUCCEEDED, FAILED or CANCELLED", "OPEN", "SUCCEEDED", "FAILED", "CANCELLED")
}

func jobFilters(f *filters) {
	jobKinds(f)
	f.one("resource", "resource_id", "ID of the VM or other resource that it is about")
	createdFilters(f)
	f.sort("-created_at", "created_at")
}

func (a *App) jobCommand() *cobra.Command {
	return group("job", "Jobs: what is being done, and what was",
		a.jobList(false), a.jobGet(false), a.jobWatch(false), a.jobCancel(false), a.jobRetry("hcpctl job"), a.jobRetryStep("hcpctl job"), a.jobAbandon("hcpctl job"))
}

func (a *App) opsJobCommand() *cobra.Command {
	return group("job", "Jobs of every tenant",
		a.jobList(true), a.jobGet(true), a.jobWatch(true), a.jobCancel(true), a.jobRetry("hcpctl ops job"), a.jobRetryStep("hcpctl ops job"), a.jobAbandon("hcpctl ops job"))
}

// either chooses between the planes.
func either(ops bool, operators, tenants string) string {
	if ops {
		return operators
	}
	return tenants
}

func (a *App) jobList(ops bool) *cobra.Command {
	noun := either(ops, "hcpctl ops job", "hcpctl job")
	return a.listing(spec{
		ops: either(ops, "opsListJobs", "listJobs"), use: "list", aliases: []string{"ls"}, short: either(ops, "List the jobs of every tenant", "List the tenant's jobs"),
		example: "  " + noun + " list --outcome open\n  " + noun + " list --type vm.create --limit 20 -o wide",
		filters: jobFilters, resource: jobResource(),
		request: func(c *call) (*http.Request, error) {
			if ops {
				return client.NewOpsListJobsRequest(c.server, nil)
			}
			return client.NewListJobsRequest(c.server, nil)
		},
	})
}

func (a *App) jobGet(ops bool) *cobra.Command {
	return a.reading(spec{
		ops: either(ops, "opsGetJob", "getJob"), use: "get JOB", short: "Show a job with its steps", refs: []ref{jobRef(ops)},
		example: "  " + either(ops, "hcpctl ops job", "hcpctl job") + " get 0198c2de-0000-7000-8000-000000000002",
		request: func(c *call) (*http.Request, error) {
			if ops {
				return client.NewOpsGetJobRequest(c.server, c.ids[0], nil)
			}
			return client.NewGetJobRequest(c.server, c.ids[0], nil)
		},
		resource: jobResource(), show: showJob,
	})
}

// showJob shows a job and, below it, its steps as a table.
func showJob(c *call, got answer) error {
	p, err := c.app.printer()
	if err != nil {
		return err
	}
	if err := p.One(jobResource(), got.body); err != nil {
		return err
	}
	var job struct {
		Steps  []json.RawMessage `json:"steps"`
		Causes []struct{ Step, Cause string }
	}
	if err := json.Unmarshal(got.body, &job); err != nil {
		return err
	}
	if len(job.Steps) > 0 {
		if _, err := fmt.Fprintln(c.app.Stdout); err != nil {
			return err
		}
		if err := p.List(stepResource(), job.Steps); err != nil {
			return err
		}
	}
	for _, x := range job.Causes {
		if err := c.say("cause %s: %s", x.Step, x.Cause); err != nil {
			return err
		}
	}
	return nil
}

func stepResource() output.Resource {
	return output.Resource{Kind: "step", Columns: []output.Column{
		{Header: "step", Path: "title"},
		{Header: "state", Path: "state"},
		{Header: "attempt", Path: "attempt"},
		{Header: "undone", Path: "compensation.state"},
		{Header: "error", Path: "error.message", Flex: true},
		{Header: "name", Path: "name", Wide: true},
		{Header: "started", Path: "started_at", Wide: true},
		{Header: "finished", Path: "finished_at", Wide: true},
	}}
}

func (a *App) jobWatch(ops bool) *cobra.Command {
	var w waiting
	g := goal{client.JobStateSUCCEEDED, ops}
	s := spec{
		ops: either(ops, "opsStreamJobEvents", "streamJobEvents"), use: "watch JOB", short: "Follow a job to its end", refs: []ref{jobRef(ops)},
		long:     "Follow a job to its end. The exit code says how it ended; interrupting the command leaves the job alone.",
		example:  "  " + either(ops, "hcpctl ops job", "hcpctl job") + " watch 0198c2de-0000-7000-8000-000000000002",
		resource: jobResource(),
	}
	cmd := a.command(s, func(c *call) error {
		p, err := a.printer()
		if err != nil {
			return err
		}
		job, err := c.follow(c.cmd.Context(), c.ids[0], ops, w.timeout)
		if err != nil {
			return err
		}
		failed := outcome(job, g, a.again(jobWords(g, "watch")...))
		if p.Human() && len(p.Columns) == 0 {
			if failed != nil {
				return failed
			}
			return c.say("job %s %s", job.ID, strings.ToLower(string(job.State)))
		}
		raw, err := json.Marshal(job)
		if err != nil {
			return err
		}
		if err := p.One(s.resource, raw); err != nil {
			return err
		}
		return failed
	})
	cmd.Flags().DurationVar(&w.timeout, "timeout", defaultTimeout, "how long to wait; the job goes on")
	return cmd
}

func (a *App) jobCancel(ops bool) *cobra.Command {
	return a.working(spec{
		ops: either(ops, "opsCancelJob", "cancelJob"), use: "cancel JOB", short: "Cancel a job; what it has done is undone", refs: []ref{jobRef(ops)},
		example:  "  " + either(ops, "hcpctl ops job", "hcpctl job") + " cancel 0198c2de-0000-7000-8000-000000000002 --yes",
		resource: jobResource(), past: "cancelled",
		ask: func(c *call) string {
			return fmt.Sprintf("Cancel job %s? What it has done is undone.", c.args[0])
		},
		request: func(c *call) (*http.Request, error) {
			if ops {
				return client.NewOpsCancelJobRequest(c.server, c.ids[0], nil, client.NoParameters{})
			}
			return client.NewCancelJobRequest(c.server, c.ids[0], nil, client.NoParameters{})
		},
	}, goal{client.JobStateCANCELLED, ops})
}

func (a *App) jobRetry(noun string) *cobra.Command {
	return a.working(spec{
		ops: "opsRetryJob", use: "retry JOB", short: "Run a failed or cancelled job again (operators)", refs: []ref{jobRef(true)},
		long:     "Run a failed or cancelled job again under its ID. It is an operator's command: it needs a context of the ops plane.",
		example:  "  " + noun + " retry 0198c2de-0000-7000-8000-000000000002",
		resource: jobResource(), past: "succeeded at last",
		request: func(c *call) (*http.Request, error) {
			return client.NewOpsRetryJobRequest(c.server, c.ids[0], nil, client.NoParameters{})
		},
	}, goal{client.JobStateSUCCEEDED, true})
}

func (a *App) jobRetryStep(noun string) *cobra.Command {
	return a.working(spec{
		ops: "opsRetryJobStep", use: "retry-step JOB", short: "Try the step again of which it is not known what it has done (operators)", refs: []ref{jobRef(true)},
		long: "Try the step again of which it is not known what it has done: of a job that is WAITING with UNKNOWN_OUTCOME. " +
			"The step finds what it has done before it acts. It is an operator's command.",
		example:  "  " + noun + " retry-step 0198c2de-0000-7000-8000-000000000002",
		resource: jobResource(), past: "succeeded at last",
		request: func(c *call) (*http.Request, error) {
			return client.NewOpsRetryJobStepRequest(c.server, c.ids[0], nil, client.NoParameters{})
		},
	}, goal{client.JobStateSUCCEEDED, true})
}

func (a *App) jobAbandon(noun string) *cobra.Command {
	var reason string
	cmd := a.working(spec{
		ops: "opsAbandonJob", use: "abandon JOB --reason TEXT", short: "Give up a job that cannot undo, or find out, what it did (operators)", refs: []ref{jobRef(true)},
		long:     "Give up the undoing of a job that cannot be undone, or a job that is WAITING with UNKNOWN_OUTCOME. What is left on the hypervisor stays, and the job says what. It is an operator's command.",
		example:  "  " + noun + ` abandon 0198c2de-0000-7000-8000-000000000002 --reason "host is gone" --yes`,
		resource: jobResource(), past: "abandoned",
		ask: func(c *call) string {
			return fmt.Sprintf("Abandon job %s? What it could not undo stays on the hypervisor until somebody removes it.", c.args[0])
		},
		request: func(c *call) (*http.Request, error) {
			if reason == "" {
				return nil, fail.Usagef("--reason is needed")
			}
			return client.NewOpsAbandonJobRequest(c.server, c.ids[0], nil, client.AbandonJobRequest{Reason: reason})
		},
	}, goal{client.JobStateFAILED, true})
	cmd.Flags().StringVar(&reason, "reason", "", "why; it is kept with the job")
	return cmd
}
