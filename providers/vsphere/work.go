package vsphere

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// workRef is a task of our own: work of several steps, told by how the VM looks. The
// argument is mostly the hypervisor's own task, where there is one.
type workRef struct {
	VMID     string
	Kind     string
	Argument string
	// Since is when the reference was given out, to the second; zero where it does
	// not tell.
	Since time.Time
}

const workPrefix = "work:"

// workTask is the reference of work of several steps on a VM.
func workTask(vmID, kind, argument string) providers.TaskRef {
	return providers.TaskRef(workPrefix + vmID + ":" + kind + ":" + argument)
}

// givenOut is the reference of work of several steps as it is handed to a caller:
// with the time at which it was.
func givenOut(task providers.TaskRef, now time.Time) providers.TaskRef {
	return providers.TaskRef(workPrefix+strconv.FormatInt(now.Unix(), 10)+":") + task[len(workPrefix):]
}

func parseWork(s string) (workRef, bool) {
	rest, ok := strings.CutPrefix(s, workPrefix)
	var w workRef
	if stamp, after, cut := strings.Cut(rest, ":"); cut && !vmid.Valid(stamp) {
		seconds, err := strconv.ParseInt(stamp, 10, 64)
		ok = ok && err == nil
		rest, w.Since = after, time.Unix(seconds, 0)
	}
	parts := strings.SplitN(rest, ":", 3)
	if !ok || len(parts) != 3 || !vmid.Valid(parts[0]) {
		return workRef{}, false
	}
	w.VMID, w.Kind, w.Argument = parts[0], parts[1], parts[2]
	return w, true
}

// look tells by the VM (nil: there is none of ours) how a work stands. NotFound
// where it does not hold, and nobody is seen at work on it.
type look func(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error)

// pollWork looks at the VM that work of several steps is about. NotFound for work
// that was interrupted: whoever asks for it again makes it go on.
func (p *Provider) pollWork(ctx context.Context, op string, w workRef) (providers.TaskStatus, *providers.Error) {
	look := p.lookOf(w.Kind)
	if look == nil {
		if err := p.ready(ctx, op); err != nil {
			return providers.TaskStatus{}, err
		}
		return providers.TaskStatus{}, interrupted(op)
	}
	var m *machine
	looked := false
	st, err := background.Poll(&p.works, workTask(w.VMID, w.Kind, w.Argument),
		func() (*machine, *providers.Error) { return p.find(ctx, op, w.VMID) },
		func(found *machine) (providers.TaskStatus, *providers.Error) {
			m, looked = found, true
			return look(ctx, op, w, m)
		})
	if !looked || !hasCode(err, providers.NotFound) || !hasSteps(w.Kind) {
		return st, err
	}
	fresh, failure := p.fresh(ctx, op, w, m)
	if failure != nil || fresh {
		return providers.TaskStatus{}, failure
	}
	return st, err
}

// lookTask tells how a work stands whose VM is not as it should be by the
// hypervisor's own task: at work, failed, or lost. A task that did its work left
// a VM that was changed since, so it is lost too.
func (p *Provider) lookTask(ctx context.Context, op string, w workRef) (providers.TaskStatus, *providers.Error) {
	if !isTask(w.Argument) {
		return providers.TaskStatus{}, interrupted(op)
	}
	st, err := p.pollMoref(ctx, op, w.Argument)
	if err == nil && st.Done && st.Err == nil {
		return providers.TaskStatus{}, interrupted(op)
	}
	return st, err
}

func interrupted(op string) *providers.Error {
	return fail(op, providers.NotFound, nil, "the work was interrupted, or is not known")
}
