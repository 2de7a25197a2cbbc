package workflows_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/workflows/workflowtest"
)

// name makes a name that nothing has yet.
func (w *world) name(prefix string) string {
	return prefix + "-" + strconv.FormatInt(w.names.Add(1), 10)
}

func (w *world) acceptSnapshot(t *testing.T, vmID string, memory *bool) models.Operation {
	t.Helper()
	accepted, err := w.AcceptCreateSnapshot(t.Context(), caller(), store.CreateSnapshot{
		ProjectID: project, VMID: vmID, Name: w.name("s"), Memory: memory,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

func (w *world) acceptOnSnapshot(t *testing.T, vmID, id string, kind models.OperationKind) models.Operation {
	t.Helper()
	accepted, err := w.AcceptSnapshotOperation(t.Context(), caller(), store.SnapshotOperation{
		ProjectID: project, VMID: vmID, SnapshotID: id, Kind: kind,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

func (w *world) acceptDisk(t *testing.T, vmID string) models.Operation {
	t.Helper()
	accepted, err := w.AcceptAttachDisk(t.Context(), caller(), store.AttachDisk{
		ProjectID: project, VMID: vmID, Name: w.name("d"), SizeGiB: 3,
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

func (w *world) acceptDetachDisk(t *testing.T, vmID, id string) models.Operation {
	t.Helper()
	accepted, err := w.AcceptDetachDisk(t.Context(), caller(), store.DetachDisk{ProjectID: project, VMID: vmID, DiskID: id}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

func (w *world) acceptNIC(t *testing.T, vmID string) models.Operation {
	t.Helper()
	accepted, err := w.AcceptAttachNIC(t.Context(), caller(), store.AttachNIC{
		ProjectID: project, VMID: vmID, NICRequest: store.NICRequest{NetworkID: "net"},
	}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

func (w *world) acceptDetachNIC(t *testing.T, vmID string, nic models.NIC) models.Operation {
	t.Helper()
	accepted, err := w.AcceptDetachNIC(t.Context(), caller(), store.DetachNIC{ProjectID: project, VMID: vmID, NICID: nic.ID()}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

// whole checks that record, quota and hypervisor agree on every VM and on all
// that belongs to it: nothing is orphaned, and nothing is counted that is not
// there.
func (w *world) whole(t *testing.T) {
	t.Helper()
	there, err := w.hv.VMs(t.Context())
	require.NoError(t, err)
	var want models.QuotaUsage
	var snapshots, disks, macs []string
	for _, vm := range there {
		want.VMs++
		want.VCPUs += int64(vm.VCPUs)
		want.MemoryMiB += int64(vm.MemoryMiB)
		want.DiskGiB += int64(vm.DiskGiB)
		for _, s := range vm.Snapshots {
			require.False(t, s.Incomplete)
			want.Snapshots++
			snapshots = append(snapshots, vm.UUID+" "+s.ID)
		}
		for _, d := range vm.DataDisks {
			require.True(t, d.Attached, "a disk that no VM has")
			want.DiskGiB += int64(d.SizeGiB)
			disks = append(disks, vm.UUID+" "+d.ID)
		}
		for _, n := range vm.NICs {
			want.Addresses++
			macs = append(macs, vm.UUID+" "+n.MAC+" "+n.IP)
		}
	}
	report, err := w.ProjectQuota(t.Context(), tenant, project)
	require.NoError(t, err)
	require.Equal(t, want, report.Used)

	var rows []models.Snapshot
	require.NoError(t, w.DB.WithContext(t.Context()).Find(&rows).Error)
	recorded := []string{}
	for _, r := range rows {
		require.Equal(t, models.SnapshotReady, r.State())
		recorded = append(recorded, r.VMID+" "+r.ID)
	}
	require.ElementsMatch(t, snapshots, recorded)
	var devices []models.Disk
	require.NoError(t, w.DB.WithContext(t.Context()).Find(&devices).Error)
	recorded = []string{}
	for _, r := range devices {
		require.Equal(t, models.DiskAttached, r.State())
		recorded = append(recorded, r.VMID+" "+r.ID)
	}
	require.ElementsMatch(t, disks, recorded)
	var vms []models.VM
	require.NoError(t, w.DB.WithContext(t.Context()).Find(&vms, "status = 'ACTIVE'").Error)
	recorded = []string{}
	for _, vm := range vms {
		for _, n := range vm.NICs {
			require.Equal(t, models.NICAttached, n.State())
			recorded = append(recorded, vm.ID+" "+n.MAC+" "+n.IPAddress)
		}
	}
	require.ElementsMatch(t, macs, recorded)
}

// partCase is a case on a VM that exists before and after, with its power as it
// was.
func (w *world) partCase(t *testing.T, op models.Operation, done, unwound func(t *testing.T, there *simadmin.VM)) workflowtest.Case {
	t.Helper()
	power := w.VM(t, op.ResourceID).PowerState
	check := func(t *testing.T, want models.Outcome, look func(t *testing.T, there *simadmin.VM)) {
		t.Helper()
		vm := w.unlocked(t, op, want)
		require.Equal(t, models.VMActive, vm.Status)
		require.Equal(t, power, vm.PowerState)
		w.truthful(t, vm)
		w.whole(t)
		look(t, w.onHypervisor(t, vm.ID))
	}
	c := w.caseOf(t, op)
	c.CheckDone = func(t *testing.T) { t.Helper(); check(t, models.OutcomeSucceeded, done) }
	c.CheckUnwound = func(t *testing.T, cancelled bool) { t.Helper(); check(t, outcomeOf(cancelled), unwound) }
	return c
}

func TestCreateSnapshotUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		for name, memory := range map[string]bool{"memory": true, "disks": false} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOf(t, b)
				workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
					t.Helper()
					op := w.acceptSnapshot(t, w.existing(t, true), &memory)
					return w.partCase(t, op, func(t *testing.T, there *simadmin.VM) {
						t.Helper()
						require.Len(t, there.Snapshots, 1)
						require.Equal(t, memory, there.Snapshots[0].Memory)
					}, func(t *testing.T, there *simadmin.VM) {
						t.Helper()
						require.Empty(t, there.Snapshots)
					})
				})
			})
		}
	})
}

// snapshotted makes a snapshot and returns its ID.
func (w *world) snapshotted(t *testing.T, vmID string, memory *bool) string {
	t.Helper()
	op := w.acceptSnapshot(t, vmID, memory)
	require.NoError(t, w.run(t, op))
	return op.Params.SnapshotID
}

// TestDeleteSnapshotUnderFaults: there is no undoing, so the record says what is.
func TestDeleteSnapshotUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			vmID := w.existing(t, false)
			kept, id := w.snapshotted(t, vmID, nil), w.snapshotted(t, vmID, nil)
			op := w.acceptOnSnapshot(t, vmID, id, models.OpSnapshotDelete)
			return w.partCase(t, op, func(t *testing.T, there *simadmin.VM) {
				t.Helper()
				require.Len(t, there.Snapshots, 1)
				require.Equal(t, kept, there.Snapshots[0].ID)
			}, func(*testing.T, *simadmin.VM) {}) // either end: what the record says was compared
		})
	})
}

// TestRevertSnapshotUnderFaults: a VM that ran runs again; where the job failed
// the record has the power that is.
func TestRevertSnapshotUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		for name, c := range map[string]struct{ memory, ranBefore bool }{
			"memory": {memory: true}, "off": {}, "running": {ranBefore: true},
		} {
			t.Run(name, func(t *testing.T) {
				w := newWorldOf(t, b)
				workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
					t.Helper()
					vmID := w.existing(t, c.memory || c.ranBefore)
					w.write(t, vmID, "before")
					id := w.snapshotted(t, vmID, &c.memory)
					w.write(t, vmID, "after")
					op := w.acceptOnSnapshot(t, vmID, id, models.OpSnapshotRevert)
					want := w.caseOf(t, op)
					want.CheckDone = func(t *testing.T) {
						t.Helper()
						vm := w.unlocked(t, op, models.OutcomeSucceeded)
						power := models.PowerStopped
						if c.memory || c.ranBefore {
							power = models.PowerRunning
						}
						require.Equal(t, power, vm.PowerState)
						require.Equal(t, power, vm.DesiredPowerState)
						require.Equal(t, w.remembered("before", "after"), w.onHypervisor(t, vm.ID).RootData)
						w.truthful(t, vm)
						w.whole(t)
					}
					want.CheckUnwound = func(t *testing.T, cancelled bool) {
						t.Helper()
						w.truthful(t, w.unlocked(t, op, outcomeOf(cancelled)))
						w.whole(t)
					}
					return want
				})
			})
		}
	})
}

// write makes the guest write something on its root disk.
func (w *world) write(t *testing.T, vmID, text string) {
	t.Helper()
	_, err := w.hv.PatchVM(t.Context(), w.onHypervisor(t, vmID).NativeID, simadmin.VMChange{RootData: &text})
	require.NoError(t, err)
}

// remembered is what is on a disk that is brought back, or copied: that is, where
// simulated hypervisors have contents of disks.
func (w *world) remembered(is, otherwise string) string {
	if w.breed.forgets {
		return otherwise
	}
	return is
}

func TestCloneVMUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			source := w.existing(t, false)
			w.write(t, source, "of the source")
			op := w.acceptClone(t, source, true)
			unharmed := func(t *testing.T) {
				t.Helper()
				vm := w.VM(t, source)
				require.Empty(t, vm.CurrentJobID, "the source's lock is given back")
				require.Equal(t, vm.Generation, vm.ObservedGeneration)
				require.Equal(t, "of the source", w.onHypervisor(t, source).RootData)
				w.truthful(t, vm)
				w.whole(t)
			}
			c := w.caseOf(t, op)
			c.CheckDone = func(t *testing.T) {
				t.Helper()
				vm := w.unlocked(t, op, models.OutcomeSucceeded)
				require.Equal(t, models.VMActive, vm.Status)
				require.Equal(t, models.PowerRunning, vm.PowerState)
				require.Equal(t, w.VM(t, source).NodeID, vm.NodeID)
				there := w.onHypervisor(t, vm.ID)
				require.Equal(t, w.remembered("of the source", ""), there.RootData)
				require.Equal(t, vm.Name, there.CloudInit.Hostname)
				require.Equal(t, w.onHypervisor(t, source).CloudInit.UserDataSHA256, there.CloudInit.UserDataSHA256)
				require.NotEqual(t, w.VM(t, source).NICs[0].MAC, vm.NICs[0].MAC)
				w.told(t, vm)
				unharmed(t)
			}
			c.CheckUnwound = func(t *testing.T, cancelled bool) {
				t.Helper()
				vm := w.unlocked(t, op, outcomeOf(cancelled))
				require.Equal(t, models.VMError, vm.Status)
				require.Zero(t, w.reserved(t, vm.ID))
				require.Nil(t, w.onHypervisor(t, vm.ID))
				unharmed(t)
			}
			return c
		})
	})
}

func (w *world) acceptClone(t *testing.T, source string, start bool) models.Operation {
	t.Helper()
	accepted, err := w.AcceptCloneVM(t.Context(), caller(), store.CloneVM{ProjectID: project, SourceID: source, Name: w.name("clone"), Start: start}, nil, storetest.Respond)
	require.NoError(t, err)
	return accepted.Operation
}

func TestAttachDiskUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			return w.partCase(t, w.acceptDisk(t, w.existing(t, true)),
				func(t *testing.T, there *simadmin.VM) { t.Helper(); require.Len(t, there.DataDisks, 1) },
				func(t *testing.T, there *simadmin.VM) { t.Helper(); require.Empty(t, there.DataDisks) })
		})
	})
}

// TestDetachDiskUnderFaults: a disk that could not be deleted is attached again
// with what is on it, and one that is gone is never made anew.
func TestDetachDiskUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			vmID := w.existing(t, true)
			made := w.acceptDisk(t, vmID)
			require.NoError(t, w.run(t, made))
			id := made.Params.DiskID
			_, err := w.hv.PatchVM(t.Context(), w.onHypervisor(t, vmID).NativeID, simadmin.VMChange{DiskData: map[string]string{id: "precious"}})
			require.NoError(t, err)
			return w.partCase(t, w.acceptDetachDisk(t, vmID, id),
				func(t *testing.T, there *simadmin.VM) { t.Helper(); require.Empty(t, there.DataDisks) },
				func(t *testing.T, there *simadmin.VM) {
					t.Helper()
					for _, d := range there.DataDisks {
						require.Equal(t, "precious", d.Data)
					}
				})
		})
	})
}

func TestAttachNICUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			return w.partCase(t, w.acceptNIC(t, w.existing(t, true)),
				func(t *testing.T, there *simadmin.VM) {
					t.Helper()
					require.Len(t, there.NICs, 2)
					require.Equal(t, "10.50.0.1", there.NICs[0].Gateway)
					second := ""
					if b.gateways {
						second = "10.50.0.1"
					}
					require.Equal(t, second, there.NICs[1].Gateway)
				},
				func(t *testing.T, there *simadmin.VM) { t.Helper(); require.Len(t, there.NICs, 1) })
		})
	})
}

func TestDetachNICUnderFaults(t *testing.T) {
	onEach(t, func(t *testing.T, b breed) {
		t.Helper()
		w := newWorldOf(t, b)
		workflowtest.Run(t, func(t *testing.T) workflowtest.Case {
			t.Helper()
			vmID := w.existing(t, true)
			nic := w.VM(t, vmID).NICs[0]
			attached := func(there *simadmin.VM) bool {
				return slices.ContainsFunc(there.NICs, func(n simadmin.NIC) bool { return n.MAC == nic.MAC && n.IP == nic.IPAddress })
			}
			return w.partCase(t, w.acceptDetachNIC(t, vmID, nic),
				func(t *testing.T, there *simadmin.VM) { t.Helper(); require.Empty(t, there.NICs) },
				func(t *testing.T, there *simadmin.VM) { t.Helper(); require.True(t, attached(there)) })
		})
	})
}
