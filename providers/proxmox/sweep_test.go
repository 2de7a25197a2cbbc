package proxmox_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/sweeps"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// process is an adapter in a process of its own, whose requests go by a gate that
// can end it.
type process struct {
	*proxmox.Provider
	sweeps.Gate
	sim http.Handler
}

func (c *cluster) process(t *testing.T) *process {
	t.Helper()
	x := &process{sim: c.pve}
	gate := httptest.NewServer(x)
	t.Cleanup(gate.Close)
	p, err := proxmox.Open(context.WithoutCancel(t.Context()), providers.Config{
		ProviderID: "provider-1", InstallationID: coreInstallation, URL: gate.URL, Options: c.options,
		Credentials: models.Credentials{Token: proxmoxsim.DefaultToken},
	})
	require.NoError(t, err)
	x.Provider = p
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return x
}

// ServeHTTP is the gate. A request that it tells of has its method and path.
func (x *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	how, dead := x.Enter(r.Method+" "+r.URL.Path, r.Method != http.MethodGet)
	if dead {
		panic(http.ErrAbortHandler)
	}
	if how == sweeps.Unharmed {
		x.sim.ServeHTTP(w, r)
		return
	}
	x.sim.ServeHTTP(httptest.NewRecorder(), r)
	_, _ = io.Copy(io.Discard, r.Body)
	x.Left(how)
	panic(http.ErrAbortHandler)
}

// drive asks until the work is done or the process has ended.
func (x *process) drive(t *testing.T, ask sweeps.Call) error {
	t.Helper()
	_, err := sweeps.Drive(t, x, ask, "")
	return err
}

// stage is a cluster with a VM of ours, and others' beside it.
type stage struct {
	*cluster
	sweeps.Subject
	tidy *process // makes and removes what the sweep is not about

	boots    int // before
	foreign  func(*testing.T)
	original []string // volumes
}

func newStage(t *testing.T, o *sweepOp) *stage {
	t.Helper()
	s := &stage{cluster: startCluster(t, proxmoxsim.Options{TaskDelay: time.Millisecond})}
	nic := providers.NIC{Network: models.NetworkBinding{Ref: "vmbr1"}, MAC: "52:54:00:aa:bb:cc"}
	s.Subject = sweeps.NewSubject(coreRequest(), coreRequest(), nic, "pve2")
	if o.userData {
		s.options["iso_storage"] = "local"
		s.Req.CloudInit.UserData = []byte("#!/bin/sh\n")
	}
	s.tidy = s.process(t)
	s.foreign = s.cluster.foreign(t.Context(), t, s.Req.VMID)
	s.original = s.everything(t)
	for _, step := range o.before {
		s.do(t, step)
	}
	if vms := s.ours(t); len(vms) > 0 {
		s.boots = vms[0].Boots
	}
	return s
}

func (s *stage) do(t *testing.T, step sweeps.Step) {
	t.Helper()
	require.NoError(t, s.tidy.drive(t, step(&s.Subject)))
}

// idle waits until the cluster has no task at work.
func (s *stage) idle(t *testing.T) {
	t.Helper()
	require.Eventually(t, func() bool {
		stats, err := s.Stats(t.Context())
		return err == nil && stats.TasksRunning == 0
	}, time.Minute, time.Millisecond)
}

// everything are all volumes of the cluster.
func (s *stage) everything(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, node := range []string{"pve1", "pve2", "pve3"} {
		for _, storage := range []string{"local", "local-lvm", "shared"} {
			var rows []struct {
				ID string `json:"volid"`
			}
			s.read(t, "/nodes/"+node+"/storage/"+storage+"/content", &rows)
			where := node
			if storage == "shared" {
				where = "all"
			}
			for _, row := range rows {
				out = append(out, where+" "+row.ID)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ours are the VMs that no foreign VM is, those being made too.
func (s *stage) ours(t *testing.T) []simadmin.VM {
	t.Helper()
	all, err := s.VMs(t.Context())
	require.NoError(t, err)
	return slices.DeleteFunc(all, func(vm simadmin.VM) bool { return vm.Name == "foreign" })
}

// wantWhole proves that the VMs are there once, and nothing that none of them has.
func (s *stage) wantWhole(t *testing.T, ids ...string) {
	t.Helper()
	var got []string
	var configs strings.Builder
	for _, vm := range s.ours(t) {
		require.NotNil(t, vm.Mark)
		got = append(got, vm.Mark.VMID)
		config := s.config(t, providers.VM{Node: vm.Node, Ref: providers.VMRef(vm.NativeID)})
		require.Contains(t, []any{nil, "suspended"}, config["lock"])
		fmt.Fprintln(&configs, config)
		for _, shot := range vm.Snapshots {
			var kept map[string]any
			s.read(t, "/nodes/"+vm.Node+"/qemu/"+vm.NativeID+"/snapshot/"+shot.NativeName+"/config", &kept)
			fmt.Fprintln(&configs, kept)
		}
	}
	require.ElementsMatch(t, ids, got)
	for _, id := range ids {
		vm, err := s.tidy.FindVM(t.Context(), id)
		require.NoError(t, err)
		require.False(t, vm.Incomplete)
	}
	for _, volume := range s.everything(t) {
		_, id, _ := strings.Cut(volume, " ")
		if !slices.Contains(s.original, volume) {
			require.Contains(t, configs.String(), id, "a volume that no VM names")
		}
	}
	s.foreign(t)
}

// wantNothing removes what is there and proves that nothing stays.
func (s *stage) wantNothing(t *testing.T) {
	t.Helper()
	for _, id := range []string{s.Twin.VMID, s.Req.VMID} {
		s.do(t, func(*sweeps.Subject) sweeps.Call { return sweeps.RemoveVM(id) })
		left, err := s.tidy.Leftovers(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	require.Empty(t, s.ours(t))
	require.Equal(t, s.original, s.everything(t))
	stats, err := s.Stats(t.Context())
	require.NoError(t, err)
	require.Zero(t, stats.TasksRunning)
	s.foreign(t)
}
