package libvirt

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// taskMove begins the reference of a migration:
// "move:<live>:<VM ID>:<from>:<to>".
const taskMove = "move:"

func moveTask(vmID string, m move) providers.TaskRef {
	return providers.TaskRef(taskMove + strings.Join([]string{strconv.FormatBool(m.Live), vmID, m.From, m.To}, ":"))
}

func parseMoveTask(t providers.TaskRef) (m move, vmID string, ok bool) {
	text, ok := strings.CutPrefix(string(t), taskMove)
	part := strings.Split(text, ":")
	if !ok || len(part) != 4 {
		return move{}, "", false
	}
	live, err := strconv.ParseBool(part[0])
	_, isID := parseVMID(part[1])
	return move{From: part[2], To: part[3], Live: live}, part[1], err == nil && isID
}

// MigrateVM moves a running guest by libvirt's peer-to-peer migration: the source's
// daemon does the work, and goes on with it when we are gone. A VM that is off is
// defined at its destination and then undefined at its source; that is done when
// it returns. No disk is copied.
func (c *Cluster) MigrateVM(ctx context.Context, t providers.Target, to providers.Migration) (providers.TaskRef, error) {
	const op = "MigrateVM"
	r := rpc{op: op}
	dest := c.host(to.Node)
	if dest == nil {
		return "", r.errorf(providers.NotFound, "the hypervisor has no such node")
	}
	v, err := c.view(ctx, op, t.VMID, false)
	if err != nil {
		return "", err
	}
	if err := v.silence(dest.name); err != nil {
		return "", err
	}
	if m := v.note(); m != nil {
		task, done, err := c.proceed(ctx, op, t.VMID, v, to)
		if err != nil || done {
			return task, err
		}
		if v, err = c.view(ctx, op, t.VMID, false); err != nil {
			return "", err
		}
	}
	a, err := v.best(op)
	if err != nil {
		return "", err
	}
	if a.host == dest {
		return "", nil
	}
	for _, h := range v.foreign {
		if h == dest {
			return "", r.errorf(providers.AlreadyExists, "the VM's place is taken by something else")
		}
	}
	if err := a.host.mayLeave(ctx, a.value, to.Live); err != nil {
		return "", err
	}
	if err := c.prepare(ctx, a, dest, to.Live); err != nil {
		return "", err
	}
	m := move{From: a.host.name, To: dest.name, Live: to.Live}
	if err := a.host.note(ctx, op, a.value, &m); err != nil {
		return "", err
	}
	if to.Live {
		return c.send(ctx, t.VMID, a, dest, m)
	}
	return "", c.carry(ctx, t.VMID, a, dest)
}

// proceed looks at a migration that somebody began before. done says that task
// is the answer; else what it left is cleaned up.
func (c *Cluster) proceed(ctx context.Context, op, vmID string, v view, to providers.Migration) (task providers.TaskRef, done bool, err error) {
	m := *v.note()
	h, err := c.settle(ctx, op, v)
	if err != nil {
		return "", false, err
	}
	if h != nil {
		return "", false, nil
	}
	if m.To == to.Node && m.Live == to.Live {
		return moveTask(vmID, m), true, nil
	}
	return "", false, rpc{op: op}.errorf(providers.Aborted, "the VM is being migrated")
}

// mayLeave checks the VM at its source.
func (h *host) mayLeave(ctx context.Context, s sighting, live bool) error {
	r := h.p.rpc("MigrateVM")
	switch power := s.power(); {
	case live && power != models.PowerRunning:
		return r.errorf(providers.FailedPrecondition, "only a running VM can be migrated live")
	case !live && power != models.PowerStopped:
		return r.errorf(providers.FailedPrecondition, "the VM is not off")
	}
	_, incomplete, err := h.p.parts(ctx, r, s.domain)
	if err != nil {
		return err
	}
	if incomplete {
		return r.errorf(providers.FailedPrecondition, "a part of the VM is missing on the hypervisor")
	}
	n, err := do(ctx, r, func(c *lv.Libvirt) (int32, error) { return c.DomainSnapshotNum(s.domain.Domain, 0) })
	if err != nil {
		return err
	}
	if n > 0 {
		return r.errorf(providers.FailedPrecondition, "a VM with snapshots cannot be migrated")
	}
	return nil
}

// moveOf is what a migration of a VM is known by in this process, whatever its nodes.
func moveOf(vmID string) providers.TaskRef { return providers.TaskRef(vmID) }

// send begins a live migration, and returns once it is under way or has ended.
func (c *Cluster) send(ctx context.Context, vmID string, from answer[sighting], to *host, m move) (providers.TaskRef, error) {
	r := from.host.p.rpc("MigrateVM")
	end, ok := c.moves.Begin(moveOf(vmID), func() {})
	if !ok {
		if err := from.host.p.ready(ctx, r); err != nil {
			return "", err
		}
		return moveTask(vmID, m), nil
	}
	ended := make(chan error, 1)
	go func(ctx context.Context) {
		err := c.perform(ctx, from, to)
		end(err)
		ended <- err
	}(context.WithoutCancel(ctx))
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			if err != nil {
				c.tidy(ctx, vmID)
				return "", err
			}
			return moveTask(vmID, m), nil
		case <-ctx.Done():
			return "", r.fail(ctx.Err())
		case <-tick.C:
		}
		if _, busy, err := from.host.isLeaving(ctx, "MigrateVM", from.value.with(m)); err != nil || busy {
			return moveTask(vmID, m), err
		}
	}
}

// tidy cleans up after a migration that failed at once. Should that fail too, the
// note stays, and whoever asks next cleans up: why the migration failed is worth
// more than that.
func (c *Cluster) tidy(ctx context.Context, vmID string) {
	const op = "MigrateVM"
	if v, err := c.view(ctx, op, vmID, false); err == nil {
		_, _ = c.settle(ctx, op, v)
	}
}

// pollEvery is how often a state is read that comes by itself within moments.
const pollEvery = 50 * time.Millisecond

// with is the sighting with a note that was written after it.
func (s sighting) with(m move) sighting {
	s.move = &m
	return s
}

// migrateTimeout bounds our waiting for the end of a live migration. The
// migration itself it does not bound: whoever polls sees it go on.
const migrateTimeout = 24 * time.Hour

// perform makes the call that is the migration, on a connection of its own:
// libvirtd serves only five calls of one client at a time.
func (c *Cluster) perform(ctx context.Context, from answer[sighting], to *host) error {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	flags := lv.MigrateLive | lv.MigratePeer2peer | lv.MigratePersistDest | lv.MigrateUndefineSource | lv.MigrateAutoConverge | lv.MigrateAbortOnError
	if c.unsafe {
		flags |= lv.MigrateUnsafe
	}
	var params []lv.TypedParam
	if to.migrateURI != "" {
		params = append(params, lv.TypedParam{Field: lv.MigrateParamURI, Value: *lv.NewTypedParamValueString(to.migrateURI)})
	}
	if c.bandwidth > 0 {
		params = append(params, lv.TypedParam{Field: lv.MigrateParamBandwidth, Value: *lv.NewTypedParamValueUllong(c.bandwidth)})
	}
	err := from.host.p.link.dedicated(ctx, func(l *lv.Libvirt) error {
		_, err := l.DomainMigratePerform3Params(from.value.domain.Domain, lv.OptString{to.peerURL}, params, nil, flags)
		return err
	})
	if err == nil {
		return nil
	}
	return from.host.p.rpc("MigrateVM").migrationFailed(err)
}

// migrationFailed classifies the end of a live migration. A NotFound is never of
// the VM, which was there: something that it needs is missing at the destination.
func (r rpc) migrationFailed(err error) error {
	err = r.fail(err)
	var e *providers.Error
	if errors.As(err, &e) && e.Code == providers.NotFound {
		return &providers.Error{Code: providers.FailedPrecondition, Provider: Kind, Op: r.op, Message: "the node lacks something that the VM needs", Err: err}
	}
	return err
}

// pollMove looks at both hosts of a migration.
func (c *Cluster) pollMove(ctx context.Context, vmID string, m move) (providers.TaskStatus, error) {
	const op = "PollTask"
	r := rpc{op: op}
	st, over, err := c.lookAtMove(ctx, vmID, m)
	if err != nil || !over {
		return st, err
	}
	// Between two readings a migration that went well may pass from one host to
	// the other.
	timer := time.NewTimer(moveGrace)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return providers.TaskStatus{}, r.fail(ctx.Err())
	}
	st, _, err = c.lookAtMove(ctx, vmID, m)
	return st, err
}

// moveGrace is the time after which a migration that seems to have ended without
// success has done so.
const moveGrace = 500 * time.Millisecond

// lookAtMove reports how a migration stands. over says that it seems to have
// ended without success.
func (c *Cluster) lookAtMove(ctx context.Context, vmID string, m move) (st providers.TaskStatus, over bool, err error) {
	const op = "PollTask"
	// What this process knows is read first: its call may end meanwhile.
	running, failed := c.moves.Look(moveOf(vmID))
	v, err := c.view(ctx, op, vmID, false)
	if err != nil {
		return st, false, err
	}
	from, to := v.on(m.From), v.on(m.To)
	if from.host != nil {
		percent, busy, err := from.host.isLeaving(ctx, op, from.value.with(m))
		if err != nil || busy {
			return providers.TaskStatus{Progress: percent}, false, err
		}
	}
	if running {
		return providers.TaskStatus{Progress: 99}, false, nil
	}
	if err := v.silence(m.From, m.To); err != nil {
		return st, false, err
	}
	switch {
	case from.host == nil && to.host == nil:
		return st, false, rpc{op: op}.errorf(providers.NotFound, "no such task")
	case from.host == nil && (!m.Live || !to.value.isHeld()):
		if to.value.move != nil {
			err = to.host.note(ctx, op, to.value, nil)
		}
		return providers.TaskStatus{Done: err == nil, Progress: 100}, false, err
	}
	if failed == nil {
		failed = rpc{op: op}.errorf(providers.Aborted, "the migration was interrupted")
	}
	return providers.TaskStatus{Done: true, Progress: 100, Err: failed}, true, nil
}
