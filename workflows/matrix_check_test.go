package workflows_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.temporal.io/sdk/temporal"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

// noCell is where a disturbance cannot happen.
const noCell = "-"

// elsewhereCell is where a disturbance is left to another test.
const elsewhereCell = "*"

// matrix is one operation under every disturbance at every step.
type matrix struct {
	w         *world
	spec      models.OperationSpec
	scenario  scenario
	elsewhere []disturbance // by another test
}

// scenario accepts an operation in a world where all is well.
type scenario func(t *testing.T, w *world) models.Operation

// run disturbs the operation and returns its part of the document, empty where not
// every case was run.
func (m matrix) run(t *testing.T) string {
	t.Helper()
	var doc strings.Builder
	var rows []string
	whole := true
	plain := m.scenario(t, m.w)
	plan := workflows.Steps(plain.Kind, plain.Params)
	m.clear(t, plain)
	for i, step := range plan {
		var cells []string
		for d := range disturbance(disturbances) {
			cell := noCell
			switch {
			case !m.applies(d, plan, i):
			case slices.Contains(m.elsewhere, d):
				cell = elsewhereCell
			default:
				ran := false
				t.Run(step.Name+"/"+columns()[d], func(t *testing.T) {
					ran = true
					op := m.scenario(t, m.w)
					cell = m.one(t, op, d, step.Name)
					m.clear(t, op)
				})
				whole = whole && ran
			}
			cells = append(cells, cell)
		}
		rows = append(rows, "| "+step.Name+" | "+strings.Join(cells, " | ")+" |\n")
	}
	if !whole { // only some of the cases were asked for
		return ""
	}
	fmt.Fprintf(&doc, "\n## %s\n\n| Step | %s |\n|---%s|\n", m.spec.Kind, strings.Join(columns(), " | "), strings.Repeat("|---", disturbances))
	for _, r := range rows {
		doc.WriteString(r)
	}
	return doc.String()
}

// applies reports whether the disturbance can happen at the i-th step.
func (m matrix) applies(d disturbance, plan []workflows.Step, i int) bool {
	step := plan[i]
	switch {
	case d == abandoned: // there must be something to undo on the hypervisor
		return !step.Local && slices.ContainsFunc(plan[:i+1], func(s workflows.Step) bool { return s.Undo != "" && !s.Local })
	case d.onHypervisor():
		return !step.Local
	case step.Name == workflowtest.LastStep:
		return !d.lasts() // it is tried until it succeeds
	}
	return true
}

// deaf reports whether the operation, once at work, hears no cancel.
func (m matrix) deaf() bool { return !m.spec.Cancellable }

// one runs one case and says how it ended.
func (m matrix) one(t *testing.T, op models.Operation, d disturbance, step string) string {
	t.Helper()
	w := m.w
	a := &at{w: w, t: t, kind: d, step: step, deaf: m.deaf(), turn: make(chan struct{}, 1)}
	before := 0
	if there := w.onHypervisor(t, op.ResourceID); there != nil {
		before = there.Boots
	}
	if d == cancelDuring { // long enough for the step to hear it
		require.NoError(t, w.hv.SetLatency(t.Context(), slowTasks()))
	}
	w.line.disturb(nil)
	err := a.run(op)
	w.line.restore()
	acted := w.line.acted()
	if d == cancelDuring {
		require.NoError(t, w.hv.SetLatency(t.Context(), simadmin.Latency{}))
	}
	report, ferr := w.hv.Faults(t.Context())
	require.NoError(t, ferr)
	require.NoError(t, w.hv.ClearFaults(t.Context()))
	w.rest(t)
	if d == workFails {
		a.struck = slices.ContainsFunc(report, func(r simadmin.FaultReport) bool { return r.Fired > 0 })
	}
	require.True(t, a.hit, "the step was not run")
	if d.onHypervisor() && !a.struck {
		require.NoError(t, err)
		return noCell // the step asked nothing of the hypervisor that could go wrong so
	}
	job := m.ended(t, op, err)
	m.judge(t, a, job, acted, before)
	return cellOf(a, job)
}

// ended checks that the job has an end, and that Temporal and the record have
// the same.
func (m matrix) ended(t *testing.T, op models.Operation, err error) models.Operation {
	t.Helper()
	job := m.w.Job(t, op.ID)
	switch {
	case err == nil:
		require.Equal(t, models.OutcomeSucceeded, job.Outcome)
	case temporal.IsCanceledError(err):
		require.Equal(t, models.OutcomeCancelled, job.Outcome)
	default:
		require.Equal(t, models.OutcomeFailed, job.Outcome)
		require.NotEmpty(t, job.ErrorCode)
		require.NotContains(t, job.ErrorText, "simhv")
	}
	return job
}

// judge holds the end of the job, the record and the hypervisor against each
// other.
func (m matrix) judge(t *testing.T, a *at, job models.Operation, acted []string, boots int) {
	t.Helper()
	w := m.w
	if a.kind.passing() && m.spec.Kind != models.OpProviderSync { // which fails soon, so that a person learns of it
		require.Equal(t, models.OutcomeSucceeded, job.Outcome, "it passes: %s %s", job.ErrorCode, job.ErrorText)
		for i, call := range acted {
			require.NotContains(t, acted[:i], call, "done twice: %s", acted)
		}
	}
	if job.ResourceType != models.ResourceVM {
		return
	}
	if a.kind == cancelDuring {
		w.follow(t, job)
	}
	vm := w.VM(t, job.ResourceID)
	require.Empty(t, vm.CurrentJobID)
	require.Empty(t, vm.NextJobID)
	there := w.onHypervisor(t, vm.ID)
	if there != nil {
		require.LessOrEqual(t, there.Boots-boots, 1, "booted once at most")
	}
	residue := incompleteEnd(job)
	switch vm.Status {
	case models.VMActive:
		require.NotNil(t, there)
		if vm.PowerState != models.PowerUnknown {
			w.stands(t, vm)
		} else {
			require.True(t, residue, "power is read where it can be")
		}
	case models.VMDeleted:
		require.Zero(t, w.reserved(t, vm.ID))
		require.True(t, there == nil || len(job.Residue) > 0, "gone, or listed as left")
	case models.VMError:
		held := 1
		if vm.ProviderID == "" {
			held = 0
			require.Nil(t, there)
			require.Equal(t, models.PowerNone, vm.PowerState)
		}
		require.Equal(t, held, w.reserved(t, vm.ID), "what may be there is reserved")
	case models.VMPending, models.VMDeleting:
		t.Fatalf("the VM is %s after its job", vm.Status)
	}
	if residue {
		require.NotEmpty(t, job.Residue)
	}
	if !residue && vm.Status == models.VMActive {
		w.whole(t)
	}
}

// rest waits until the hypervisor has ended all that it was asked for: what comes
// of a job is not seen before.
func (w *world) rest(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		stats, err := w.hv.Stats(t.Context())
		return err == nil && stats.TasksRunning == 0
	}, stuck, time.Millisecond)
}

// follow lets the record follow a hypervisor that has gone on with its work after
// the job was cancelled: a VM's power as the next refresh of the provider does, and
// a snapshot that was being deleted by another delete, which proves it absent.
func (w *world) follow(t *testing.T, job models.Operation) {
	t.Helper()
	if job.Kind == models.OpSnapshotDelete && job.Outcome == models.OutcomeCancelled && w.recorded(t, job.Params.SnapshotID) {
		again := w.acceptOnSnapshot(t, job.ResourceID, job.Params.SnapshotID, models.OpSnapshotDelete)
		require.NoError(t, w.run(t, again))
	}
	there, vm := w.onHypervisor(t, job.ResourceID), w.VM(t, job.ResourceID)
	if there != nil && vm.Status == models.VMActive && vm.PowerState != powerOf(there) {
		w.refresh(t)
	}
}

// recorded reports whether a snapshot is in the record: one that was gone when the
// cancel came is not.
func (w *world) recorded(t *testing.T, snapshotID string) bool {
	t.Helper()
	var n int64
	require.NoError(t, w.DB.WithContext(t.Context()).Model(&models.Snapshot{}).Where("id = ?", snapshotID).Count(&n).Error)
	return n > 0
}

// incompleteEnd reports whether the job ended with something standing.
func incompleteEnd(job models.Operation) bool {
	return job.ErrorCode == models.JobCompensationIncomplete || len(job.Residue) > 0
}

// clear deletes the VM of a case, whatever has become of it, and those that it
// was made from: nothing is left after that.
func (m matrix) clear(t *testing.T, op models.Operation) {
	t.Helper()
	if op.ResourceType != models.ResourceVM {
		return
	}
	for _, id := range []string{op.ResourceID, op.Params.SourceVMID} {
		if id == "" || m.w.VM(t, id).Status == models.VMDeleted && m.w.onHypervisor(t, id) == nil {
			continue
		}
		if m.w.VM(t, id).Status == models.VMDeleted { // a forced delete that left it
			require.NoError(t, m.w.hv.DeleteVM(t.Context(), m.w.onHypervisor(t, id).NativeID))
			continue
		}
		if m.w.VM(t, id).CurrentJobID != "" { // the case did not apply
			require.NoError(t, m.w.run(t, op))
			if m.w.VM(t, id).Status == models.VMDeleted {
				continue
			}
		}
		require.NoError(t, m.w.run(t, m.w.accept(t, id, models.OpVMDelete, models.OperationParams{})))
	}
	m.w.whole(t)
}

// cellOf says how a case ended.
func cellOf(a *at, job models.Operation) string {
	var words []string
	switch {
	case job.Outcome == models.OutcomeSucceeded && len(job.Residue) > 0:
		return "done, residue"
	case job.Outcome == models.OutcomeSucceeded:
		return "done"
	case incompleteEnd(job):
		return "residue"
	}
	words = append(words, strings.ToLower(string(job.Outcome)))
	plan := workflows.Steps(job.Kind, job.Params)
	if slices.ContainsFunc(plan, func(s workflows.Step) bool { return s.Undo != "" && slices.Contains(a.steps, s.Undo) }) {
		words = append(words, "undone")
	}
	return strings.Join(words, ", ")
}

// slowTasks makes the hypervisor take its time over everything.
func slowTasks() simadmin.Latency {
	slow := simadmin.Duration(300 * time.Millisecond)
	l := simadmin.Latency{Task: map[string]simadmin.Duration{}}
	for _, op := range []string{
		"create_vm", "set_power", "reboot", "delete_vm", "suspend_vm", "resume_vm", "resize_vm", "rebuild_vm", "revert_rebuild", "finish_rebuild",
		"clone_vm", "snapshot_create", "snapshot_revert", "snapshot_delete", "migrate_vm", "attach_disk", "detach_disk", "delete_disk", "attach_nic", "detach_nic",
	} {
		l.Task[op] = slow
	}
	return l
}
