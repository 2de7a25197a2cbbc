package store_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

// request kinds of the matrix: the operations, and the modes of a stop.
const (
	stopForce    = "vm.stop force"
	stopGraceful = "vm.stop graceful"
	stopBoth     = "vm.stop graceful_then_force"
)

// takes is which requests a VM takes in a state, written down from the table of
// docs/api.md and not from the data that it is compared with. A state is a
// status, or the power of an ACTIVE VM. What holds already is taken as well: its
// job succeeds without doing anything.
func takes() map[string][]string {
	always := []string{"vm.delete", "vm.force_delete"}
	existing := append([]string{stopForce, stopBoth, "snapshot.delete"}, always...)
	devices := []string{"disk.attach", "disk.detach", "nic.attach", "nic.detach"}
	with := func(base []string, more ...string) []string { return append(slices.Clone(more), base...) }
	asleep := with(existing, "vm.resume", "vm.suspend", "snapshot.create", "snapshot.revert")
	return map[string][]string{
		"PENDING": always,
		"RUNNING": with(with(existing, devices...), stopGraceful, "vm.start", "vm.reboot", "vm.reset", "vm.suspend", "vm.resume", "vm.resize",
			"vm.console", "vm.migrate", "snapshot.create", "snapshot.revert"),
		"STOPPED": with(with(existing, devices...), stopGraceful, "vm.start", "vm.resize", "vm.rebuild", "vm.clone", "vm.migrate",
			"snapshot.create", "snapshot.revert"),
		"SUSPENDED": asleep,
		"PAUSED":    asleep,
		"UNKNOWN":   with(existing, "vm.start"),
		"NONE":      existing,
		"ERROR":     with(always, "vm.retry", stopForce, stopBoth),
		"DELETING":  always,
		"DELETED":   nil,
	}
}

// asked is one request of the matrix.
type asked struct {
	name string
	in   store.VMOperation
	spec models.OperationSpec
}

func everyRequest(vmID string) []asked {
	var out []asked
	for _, spec := range models.Operations() {
		if spec.Resource != models.ResourceVM || spec.Kind == models.OpVMCreate || spec.Kind == models.OpVMUpdate {
			continue
		}
		in := store.VMOperation{ProjectID: storetest.Project, VMID: vmID, Kind: spec.Kind}
		if spec.Kind != models.OpVMStop {
			in.Preempt = spec.Preempts
			out = append(out, asked{string(spec.Kind), in, spec})
			continue
		}
		for _, mode := range []models.PowerMode{models.ModeGraceful, models.ModeForce, models.ModeGracefulThenForce} {
			in.Params.Mode, in.Preempt = mode, mode == models.ModeForce
			out = append(out, asked{string(spec.Kind) + " " + string(mode), in, spec})
		}
	}
	return out
}

// putVM makes a VM look as the matrix wants it.
func putVM(t *testing.T, env *storetest.Env, vmID string, status models.VMStatus, power models.PowerState, current, next string) {
	t.Helper()
	require.NoError(t, env.DB.Exec(`UPDATE vms SET status = ?, power_state = ?, current_job_id = ?, next_job_id = ?,
			deleted_at = CASE WHEN ? = 'DELETED' THEN created_at END WHERE id = ?`,
		status, power, current, next, status, vmID).Error)
}

func setCapabilities(t *testing.T, env *storetest.Env, all ...models.Capability) {
	t.Helper()
	b, err := json.Marshal(all)
	require.NoError(t, err)
	require.NoError(t, env.DB.Exec("UPDATE providers SET capabilities = ?", string(b)).Error)
}

// TestStateMatrix: every status and power against every operation, on a VM with
// no job at work.
func TestStateMatrix(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		setCapabilities(t, env, models.Capabilities()...)
		vm := env.ActiveVM(t, "a")
		table, asked := takes(), everyRequest(vm.ID)
		checked := 0
		for _, status := range models.VMStatuses() {
			for _, power := range models.PowerStates() {
				putVM(t, env, vm.ID, status, power, "", "")
				state := string(status)
				if status == models.VMActive {
					state = string(power)
				}
				for _, a := range asked {
					err := env.Verdict(t.Context(), storetest.Caller(), a.in)
					where := fmt.Sprintf("%s of a VM that is %s, power %s", a.name, status, power)
					checked++
					if slices.Contains(table[state], a.name) {
						require.NoError(t, err, where)
						continue
					}
					var refused *store.StateError
					require.ErrorAs(t, err, &refused, where)
					require.Equal(t, []any{status, power}, []any{refused.Status, refused.Power}, where)
				}
			}
		}
		t.Logf("%d combinations", checked)
		require.Equal(t, len(models.VMStatuses())*len(models.PowerStates())*len(asked), checked)
	})
}

// TestBusyMatrix: every status against every operation, on a VM with a job at
// work, and with one that waits behind it.
func TestBusyMatrix(t *testing.T) {
	preempts := map[models.VMStatus][]string{
		models.VMPending:  {"vm.delete", "vm.force_delete"},
		models.VMActive:   {"vm.delete", "vm.force_delete", stopForce},
		models.VMError:    {"vm.delete", "vm.force_delete", stopForce},
		models.VMDeleting: {"vm.delete", "vm.force_delete"},
	}
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		setCapabilities(t, env, models.Capabilities()...)
		vm := env.ActiveVM(t, "a")
		for _, status := range models.VMStatuses() {
			for _, next := range []string{"", "next"} {
				putVM(t, env, vm.ID, status, models.PowerRunning, "holder", next)
				for _, a := range everyRequest(vm.ID) {
					if a.spec.LockFree {
						continue
					}
					err := env.Verdict(t.Context(), storetest.Caller(), a.in)
					where := fmt.Sprintf("%s of a VM that is %s, with holder and %q", a.name, status, next)
					var busy *store.BusyError
					var state *store.StateError
					switch {
					case status == models.VMDeleted, status == models.VMDeleting && !a.spec.Kind.Deletes():
						require.ErrorAs(t, err, &state, where)
					case next != "" && a.in.Kind == models.OpVMForceDelete:
						require.NoError(t, err, where)
					case next != "" && a.in.Preempt:
						require.ErrorAs(t, err, &busy, where)
						require.Equal(t, next, busy.JobID, where)
					case !a.in.Preempt:
						require.ErrorAs(t, err, &busy, where)
						require.Equal(t, "holder", busy.JobID, where)
					case slices.Contains(preempts[status], a.name):
						require.NoError(t, err, where)
					default:
						require.ErrorAs(t, err, &state, where)
					}
				}
			}
		}
	})
}

// TestCapabilityMatrix: an operation is refused where the provider lacks what it
// needs, and only then.
func TestCapabilityMatrix(t *testing.T) {
	needs := map[string]models.Capability{
		"vm.suspend": models.CapSuspend, "vm.resume": models.CapSuspend, "vm.resize": models.CapResize, "vm.rebuild": models.CapRebuild,
		"vm.clone": models.CapClone, "snapshot.create": models.CapSnapshot, "snapshot.revert": models.CapSnapshot,
		"disk.attach": models.CapDataDisks, "disk.detach": models.CapDataDisks,
		"nic.attach": models.CapAttachNetwork, "nic.detach": models.CapAttachNetwork,
	}
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		vm := env.ActiveVM(t, "a")
		for _, power := range []models.PowerState{models.PowerRunning, models.PowerStopped, models.PowerSuspended} {
			putVM(t, env, vm.ID, models.VMActive, power, "", "")
			for _, a := range everyRequest(vm.ID) {
				if !slices.Contains(takes()[string(power)], a.name) {
					continue
				}
				lacked := []models.Capability{needs[a.name]}
				if a.name == "vm.resize" && power == models.PowerRunning {
					lacked = append(lacked, models.CapHotResize)
				}
				for _, missing := range models.Capabilities() {
					setCapabilities(t, env, slices.DeleteFunc(models.Capabilities(), func(c models.Capability) bool { return c == missing })...)
					err := env.Verdict(t.Context(), storetest.Caller(), a.in)
					if !slices.Contains(lacked, missing) {
						require.NoError(t, err, "%s without %s", a.name, missing)
						continue
					}
					var refused *store.CapabilityError
					require.ErrorAs(t, err, &refused, "%s without %s", a.name, missing)
					require.Equal(t, missing, refused.Capability)
				}
			}
		}
	})
}

// TestTheStateComesBeforeTheRest: a VM that is busy, or in another state, says so
// whatever its provider can do.
func TestTheStateComesBeforeTheRest(t *testing.T) {
	storetest.Each(t, func(t *testing.T, env *storetest.Env) {
		env.Seed(t)
		setCapabilities(t, env)
		vm := env.ActiveVM(t, "a")
		in := store.VMOperation{ProjectID: storetest.Project, VMID: vm.ID, Kind: models.OpVMRebuild}
		var state *store.StateError
		require.True(t, errors.As(env.Verdict(t.Context(), storetest.Caller(), in), &state))
		putVM(t, env, vm.ID, models.VMActive, models.PowerStopped, "holder", "")
		var busy *store.BusyError
		require.True(t, errors.As(env.Verdict(t.Context(), storetest.Caller(), in), &busy))
	})
}
