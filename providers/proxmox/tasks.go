package proxmox

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// upid is the hypervisor's name for a task:
// UPID:<node>:<pid>:<pstart>:<start time>:<type>:<id>:<user>:, numbers in hex.
type upid struct {
	Node    string
	Started time.Time
	Type    string // as "qmclone"
	ID      string // mostly a VMID
	User    string
	raw     string
}

func parseUPID(s string) (upid, bool) {
	parts := strings.Split(s, ":")
	if !upidPattern().MatchString(s) || len(parts) != 9 {
		return upid{}, false
	}
	started, err := strconv.ParseInt(parts[4], 16, 64)
	if err != nil {
		return upid{}, false
	}
	return upid{Node: parts[1], Started: time.Unix(started, 0), Type: parts[5], ID: parts[6], User: parts[7], raw: s}, true
}

// upidPattern is what Proxmox VE itself takes for a UPID (PVE::Tools): node, three
// numbers, type, ID and user, none of which may be a path.
func upidPattern() *regexp.Regexp {
	return regexp.MustCompile(`^UPID:[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?:[0-9A-Fa-f]{8}:[0-9A-Fa-f]{8,9}:[0-9A-Fa-f]{8}:[^:\s/]+:[^:\s/]*:[^:\s/]+:$`)
}

// workRef is a task of our own: work of several steps, told by how the VM looks.
type workRef struct {
	VMID     string
	Kind     string
	Argument string
}

const workPrefix = "work:"

// workTask is the reference of work of several steps on a VM.
func workTask(vmID, kind, argument string) providers.TaskRef {
	return providers.TaskRef(workPrefix + vmID + ":" + kind + ":" + argument)
}

// PollTask reports on a task of the hypervisor, or looks at the VM that work of
// several steps is about. NotFound for what is no task that it knows.
func (p *Provider) PollTask(ctx context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	const op = "PollTask"
	if task == "" {
		return providers.TaskStatus{Done: true, Progress: 100}, nil
	}
	if err := p.usable(ctx, op); err != nil {
		return providers.TaskStatus{}, err
	}
	var st providers.TaskStatus
	var err *providers.Error
	if u, ok := parseUPID(string(task)); ok {
		st, err = p.pollUPID(ctx, op, u)
	} else if w, ok := parseWork(string(task)); ok {
		st, err = p.pollWork(ctx, op, w)
	} else if err = p.ready(ctx, op); err == nil {
		err = fail(op, providers.NotFound, nil, "no such task")
	}
	if err != nil {
		return providers.TaskStatus{}, err
	}
	if failure := background.Failure(st); failure != nil {
		st.Err = elsewhere(failure)
	}
	return st, nil
}

// usable is what a call would fail with that needs none of the hypervisor.
func (p *Provider) usable(ctx context.Context, op string) *providers.Error {
	err := ctx.Err()
	if p.transport.closed.Load() {
		err = errClosed
	}
	if err == nil {
		return nil
	}
	code, message := classify(err)
	return fail(op, code, err, message)
}

func parseWork(s string) (workRef, bool) {
	rest, ok := strings.CutPrefix(s, workPrefix)
	parts := strings.SplitN(rest, ":", 3)
	if !ok || len(parts) != 3 || !vmid.Valid(parts[0]) {
		return workRef{}, false
	}
	return workRef{VMID: parts[0], Kind: parts[1], Argument: parts[2]}, true
}

func (p *Provider) pollUPID(ctx context.Context, op string, u upid) (providers.TaskStatus, *providers.Error) {
	var now struct {
		Status     string `json:"status"`
		ExitStatus string `json:"exitstatus"`
	}
	if err := p.get(ctx, op, apiPath("nodes", u.Node, "tasks", u.raw, "status"), nil, &now); err != nil {
		return providers.TaskStatus{}, p.lostTask(ctx, op, u, err)
	}
	if now.Status != "stopped" {
		return providers.TaskStatus{}, nil
	}
	st := providers.TaskStatus{Done: true, Progress: 100}
	err := exitError(op, now.ExitStatus)
	if err != nil && u.Type == typeMigrate {
		err = p.whyNotMoved(ctx, op, u, now.ExitStatus)
	}
	if err != nil {
		st.Err = err
	}
	return st, nil
}

// lostTask tells whether a task that cannot be read may be read later: its status
// is on its node. A node that the cluster has no more took it along.
func (p *Provider) lostTask(ctx context.Context, op string, u upid, err *providers.Error) *providers.Error {
	var answer *apiError
	if !errors.As(err.Err, &answer) || answer.Status < statusNode {
		return err
	}
	nodes, listErr := p.nodes(ctx, op)
	if listErr != nil {
		return listErr
	}
	if !slices.ContainsFunc(nodes, func(n nodeRow) bool { return n.Node == u.Node }) {
		return fail(op, providers.NotFound, err.Err, "no such task")
	}
	return err
}

// await waits until a task of the hypervisor is done, and returns its failure. It
// is for work of several steps in the background: ctx bounds it. Aborted for a task
// that the hypervisor has forgotten: what it has come to is told by what is there.
func (p *Provider) await(ctx context.Context, op, task string) *providers.Error {
	u, ok := parseUPID(task)
	if !ok {
		return fail(op, providers.Internal, nil, "the hypervisor named no task")
	}
	for wait := background.FirstPause; ; wait = background.Longer(wait) {
		st, err := p.pollUPID(ctx, op, u)
		if hasCode(err, providers.NotFound) {
			return fail(op, providers.Aborted, err, "the hypervisor has forgotten its work")
		}
		if err != nil && !err.Code.Retryable() {
			return err
		}
		if err == nil && st.Done {
			return background.Failure(st)
		}
		if err := pause(ctx, op, wait); err != nil {
			return err
		}
	}
}
