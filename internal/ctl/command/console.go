package command

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/fail"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/watch"
)

// consoleWeb is the type of console that is a serial line.
const consoleWeb = "web"

// consoleWait is how long hcpctl waits for a console that is not ready at once.
const consoleWait = time.Minute

func consoleResource() output.Resource {
	return output.Resource{Kind: "console", Columns: []output.Column{
		{Header: "type", Path: "type"}, {Header: "url", Path: "url"}, {Header: "expires_at", Path: "expires_at"},
	}}
}

func consoleSessionResource() output.Resource {
	return output.Resource{Kind: "console-session", Columns: []output.Column{
		{Header: "id", Path: "id"},
		{Header: "type", Path: "type"},
		{Header: "state", Path: "state"},
		{Header: "by", Path: "requested_by", Flex: true},
		{Header: "from", Path: "client_address"},
		{Header: "age", Path: "created_at", Age: true},
		{Header: "ends", Path: "ends_at"},
		{Header: "reason", Path: "close_reason"},
		{Header: "job", Path: "job_id", Wide: true},
	}}
}

// console are the flags of vm console.
type console struct {
	kind         string
	open, attach bool
	key          string
}

func (a *App) vmConsole() *cobra.Command {
	var o console
	s := spec{
		ops: "openVMConsole", use: "console VM", short: "Open a console of a running VM", scope: inProject, refs: []ref{vmRef()},
		long: "Open a console of a running VM. What is printed is the address of a page that opens the console once, within a minute: whoever has the address has the console.\n\n" +
			"With --attach this terminal is joined to the VM's serial line; ~. at the beginning of a line leaves. Of what the guest sends, text, colours and the cursor reach the terminal.",
		example: `  hcpctl vm console web-1
  hcpctl vm console web-1 --type web --open
  hcpctl vm console web-1 --attach`,
		resource: consoleResource(),
	}
	cmd := a.command(s, func(c *call) error { return c.console(&o) })
	f := cmd.Flags()
	f.StringVar(&o.kind, "type", "", "vnc, web, rdp or spice; the best that the VM has without it")
	f.BoolVar(&o.open, "open", false, "open the page in the browser")
	f.BoolVar(&o.attach, "attach", false, "join this terminal to the serial line")
	f.StringVar(&o.key, "idempotency-key", "", "repeat the request that was sent with this key")
	completeChoices(cmd, "type", []string{"vnc", "web", "rdp", "spice"})
	return cmd
}

func (a *App) vmSessions() *cobra.Command {
	return a.listing(spec{
		ops: "listConsoleSessions", use: "sessions VM", short: "List the console sessions of a VM", scope: inProject, refs: []ref{vmRef()},
		example:  `  hcpctl vm sessions web-1`,
		resource: consoleSessionResource(),
		request: func(c *call) (*http.Request, error) {
			return client.NewListConsoleSessionsRequest(c.server, c.project, c.ids[0], nil)
		},
	})
}

func (a *App) vmCloseSession() *cobra.Command {
	return a.working(spec{
		ops: "closeConsoleSession", use: "close-session VM SESSION", short: "Close a console session of a VM", scope: inProject, refs: []ref{vmRef(), sessionRef()},
		example:  `  hcpctl vm close-session web-1 0198c2de-0000-7000-8000-000000000001`,
		resource: consoleSessionResource(), past: "closed",
		request: func(c *call) (*http.Request, error) {
			return client.NewCloseConsoleSessionRequest(c.server, c.project, c.ids[0], c.ids[1], nil)
		},
	}, goal{state: client.JobStateSUCCEEDED})
}

func sessionRef() ref {
	return ref{noun: "session", nameless: true, hint: "state", list: func(c *call) (*http.Request, error) {
		return client.NewListConsoleSessionsRequest(c.server, c.project, c.ids[0], nil)
	}}
}

// console asks for a console and does with it what the flags say.
func (c *call) console(o *console) error {
	p, err := c.app.printer()
	if err != nil {
		return err
	}
	if o.attach && o.open {
		return fail.Usagef("--attach and --open are two ways to use a console that opens once")
	}
	if o.attach && o.kind == "" {
		o.kind = consoleWeb
	}
	if o.attach && o.kind != consoleWeb {
		return fail.Usagef("--attach is for the serial line: --type web")
	}
	var body client.OpenConsoleRequest
	if o.kind != "" {
		kind := client.ConsoleType(strings.ToLower(o.kind))
		body.Type = &kind
	}
	req, err := client.NewOpenVMConsoleRequest(c.server, c.project, c.ids[0], nil, body)
	if err != nil {
		return err
	}
	got, err := c.change(c.cmd.Context(), req, o.key)
	if err != nil {
		return err
	}
	access, raw, err := c.access(got)
	if err != nil {
		return err
	}
	switch {
	case o.attach:
		return c.attach(access)
	case o.open:
		return c.browse(access)
	case p.Human() && len(p.Columns) == 0:
		if err := c.say("%s", access.URL); err != nil {
			return err
		}
		_, err := fmt.Fprintf(c.app.Stderr, "It opens the console once, until %s (in %s).\n",
			access.ExpiresAt.Local().Format(time.TimeOnly), access.ExpiresAt.Sub(c.app.Now()).Round(time.Second))
		return err
	}
	return p.One(consoleResource(), raw)
}

// access is the console of an answer, or of the job that the answer names.
func (c *call) access(got answer) (client.ConsoleAccess, json.RawMessage, error) {
	var access client.ConsoleAccess
	if got.status == http.StatusOK {
		if err := json.Unmarshal(got.body, &access); err != nil {
			return access, nil, fmt.Errorf("the server's answer is not understood: %w", err)
		}
		return access, got.body, nil
	}
	var accepted client.Accepted
	if err := json.Unmarshal(got.body, &accepted); err != nil {
		return access, nil, fmt.Errorf("the server's answer is not understood: %w", err)
	}
	// The job lives as long as the session: its result comes before its end.
	ctx, cancel := context.WithTimeout(c.cmd.Context(), consoleWait)
	defer cancel()
	for {
		job, err := c.job(ctx, accepted.JobID)
		if err != nil {
			if c.cmd.Context().Err() == nil && ctx.Err() != nil {
				return access, nil, (&fail.Error{Message: "the console is not ready", Exit: fail.Timeout, Err: err}).
					Then("See why: " + c.app.again("job", "get", accepted.JobID))
			}
			return access, nil, err
		}
		switch {
		case job.Result != nil && job.Result.Console != nil:
			raw, err := json.Marshal(job.Result.Console)
			return *job.Result.Console, raw, err
		case watch.Over(job):
			g := goal{state: client.JobStateSUCCEEDED}
			if err := outcome(job, g, c.app.again("job", "watch")); err != nil {
				return access, nil, err
			}
			return access, nil, &fail.Error{Message: "the console has ended before it could be used", Exit: fail.Failed}
		}
	}
}

// jobWait is how long one request waits for a change of the job.
const jobWait = 10 * time.Second

// job reads a job once it has changed.
func (c *call) job(ctx context.Context, id string) (client.Job, error) {
	var job client.Job
	if err := c.app.Sleep(ctx, time.Second); err != nil { // servers may answer at once
		return job, err
	}
	wait := fmt.Sprintf("PT%dS", jobWait/time.Second)
	req, err := client.NewGetJobRequest(c.server, id, &client.GetJobParams{Wait: &wait})
	if err != nil {
		return job, err
	}
	got, err := c.send(ctx, req)
	if err != nil {
		return job, err
	}
	if err := json.Unmarshal(got.body, &job); err != nil {
		return job, fmt.Errorf("the server's answer is not understood: %w", err)
	}
	return job, nil
}
