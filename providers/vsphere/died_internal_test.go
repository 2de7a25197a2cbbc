package vsphere

import (
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// sweptEach runs f for each operation that is among those wanted, on each kind of
// hypervisor.
func sweptEach(t *testing.T, among func(esxi bool, name string) bool, f func(t *testing.T, g *ground, o *sweepOp)) {
	t.Helper()
	for name, peer := range peers() {
		for _, o := range sweepOps() {
			if o.vCenter && peer.opts.ESXi || !among(peer.opts.ESXi, o.name) {
				continue
			}
			t.Run(name+"/"+o.name, func(t *testing.T) {
				t.Parallel()
				f(t, newGround(t, peer.opts, peer.request), &o)
			})
		}
	}
}

func everyOne(bool, string) bool { return true }

// TestWhateverDiesAtWhateverStep ends each operation at each of its requests that
// changes something, and lets it be gone on with or undone. There is one VM or none
// then, nothing of it is left behind, and others' are as they were.
func TestWhateverDiesAtWhateverStep(t *testing.T) {
	t.Parallel()
	sweptEach(t, everyOne, func(t *testing.T, g *ground, o *sweepOp) {
		t.Helper()
		s := g.stage(t, o)
		p := s.process(t)
		_, err := p.drive(t, o.ask(&s.Subject), "")
		require.NoError(t, err)
		o.holds(t, s)
		writes := p.Written()
		require.NotEmpty(t, writes)
		s.wantNothing(t)
		for at, write := range writes {
			for _, how := range o.endings(g, len(writes)) {
				t.Run(fmt.Sprintf("%d %s/%s/gone on", at+1, write, how), func(t *testing.T) {
					s := g.stage(t, o)
					task := s.interrupt(t, o, at+1, how)
					_, err := s.tidy.drive(t, o.ask(&s.Subject), task)
					require.NoError(t, err)
					o.holds(t, s)
					if o.effect != "" {
						s.wantEffect(t, o.effect, 1)
					}
					s.wantNothing(t)
				})
				if o.undo == nil || how != sweeps.DiesAfter {
					continue
				}
				t.Run(fmt.Sprintf("%d %s/%s/undone", at+1, write, how), func(t *testing.T) {
					s := g.stage(t, o)
					s.interrupt(t, o, at+1, how)
					for _, undo := range o.undo {
						s.do(t, undo)
					}
					o.undone(t, s)
					s.wantNothing(t)
				})
			}
		}
	})
}

// endings are how an operation is ended at each of its requests. One that ends before
// its only one has done nothing. A host that stands alone differs in how VMs and disks
// are made; of the rest it has one ending, for the time that each takes.
func (o *sweepOp) endings(g *ground, writes int) []sweeps.Ending {
	switch {
	case g.esxi && !slices.Contains([]string{"create", "clone", "rebuild"}, o.name):
		return []sweeps.Ending{sweeps.DiesAfter}
	case writes == 1:
		return []sweeps.Ending{sweeps.AnswerLost, sweeps.DiesAfter}
	}
	return []sweeps.Ending{sweeps.AnswerLost, sweeps.DiesBefore, sweeps.DiesAfter}
}

// interrupt lets a process begin, which does not survive, and returns the task that
// its caller knows.
func (s *stage) interrupt(t *testing.T, o *sweepOp, at int, how sweeps.Ending) providers.TaskRef {
	t.Helper()
	p := s.process(t)
	p.End(at, how)
	task, err := p.drive(t, o.ask(&s.Subject), "")
	require.GreaterOrEqual(t, len(p.Written()), at, "it does not get that far: %v", err)
	if how == sweeps.AnswerLost {
		require.NoError(t, err)
		return ""
	}
	require.True(t, p.IsDead())
	require.NoError(t, p.Close())
	return task
}

// TestADiskIsNotAttachedBeforeItIsNoted: a process dies when the hypervisor has attached
// a disk, before the VM's note tells it from another. To others its work is not done.
func TestADiskIsNotAttachedBeforeItIsNoted(t *testing.T) {
	t.Parallel()
	g := newGround(t, vspheresim.Options{}, newRequest)
	ops := sweepOps()
	o := &ops[slices.IndexFunc(ops, func(o sweepOp) bool { return o.name == "attach of a disk" })]
	s := g.stage(t, o)
	s.interrupt(t, o, 2, sweeps.DiesBefore)
	next := openWith(t, testConfig(g.Server, nil))
	m := found(t, next, s.Req.VMID)
	require.NotNil(t, m.dataDisk(s.Disk.ID))
	require.Empty(t, m.notedDisks()[s.Disk.ID].UUID)
	require.ErrorIs(t, result(t, next, workTask(s.Req.VMID, workAttachDisk, s.Disk.ID)), errForgotten)
	settleOf(t, next)(next.AttachDisk(t.Context(), s.Target, s.Disk))
	m = found(t, next, s.Req.VMID)
	require.Equal(t, diskUUID(m.dataDisk(s.Disk.ID)), m.notedDisks()[s.Disk.ID].UUID)
}
