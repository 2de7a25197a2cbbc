package proxmox_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// ending is what happens at one request of an operation that changes something.
type ending int

const (
	unharmed   ending = iota
	answerLost        // it took effect, and the connection broke
	diesBefore        // the process ended before it was sent
	diesAfter         // the process ended before the answer came
)

func (e ending) String() string {
	return [...]string{"unharmed", "answer lost", "process dies before", "process dies after"}[e]
}

// process is an adapter in a process of its own, whose requests go by a gate that
// can end it.
type process struct {
	*proxmox.Provider
	sim http.Handler

	mu     sync.Mutex
	writes []string // the requests that change something, in their order
	at     int      // which of them has the ending; 0: none
	how    ending
	dead   bool
	asked  int                           // how many requests there were, reads too
	meet   func(at int, r *http.Request) // called before each of them
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

// ServeHTTP is the gate.
func (x *process) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x.mu.Lock()
	x.asked++
	if at := x.asked; x.meet != nil {
		x.mu.Unlock()
		x.meet(at, r)
		x.mu.Lock()
	}
	how := unharmed
	if r.Method != http.MethodGet {
		x.writes = append(x.writes, r.Method+" "+r.URL.Path)
		if len(x.writes) == x.at {
			how = x.how
		}
	}
	if x.dead || how == diesBefore {
		x.dead = true
		x.mu.Unlock()
		panic(http.ErrAbortHandler)
	}
	x.mu.Unlock()
	if how == unharmed {
		x.sim.ServeHTTP(w, r)
		return
	}
	x.sim.ServeHTTP(httptest.NewRecorder(), r)
	_, _ = io.Copy(io.Discard, r.Body)
	x.mu.Lock()
	x.dead = how == diesAfter
	x.mu.Unlock()
	panic(http.ErrAbortHandler)
}

// end sets the ending of a request to come, and forgets those before.
func (x *process) end(at int, how ending) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.writes, x.at, x.how = nil, at, how
}

func (x *process) isDead() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.dead
}

func (x *process) requests() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.asked
}

func (x *process) written() []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return append([]string{}, x.writes...)
}

// asking is one call of an operation.
type asking func(context.Context, *process) (providers.TaskRef, error)

// drive asks until the work is done or the process has ended, as an activity does.
func (x *process) drive(t *testing.T, ask asking) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	task, err := ask(ctx, x)
	for ; !x.isDead(); <-tick.C {
		var st providers.TaskStatus
		if err == nil {
			if st, err = x.PollTask(ctx, task); err == nil {
				if !st.Done {
					continue
				}
				if err = st.Err; err == nil {
					return nil
				}
			}
			if providers.CodeOf(err) == providers.NotFound {
				task, err = ask(ctx, x)
				continue
			}
		}
		if !providers.CodeOf(err).Retryable() || ctx.Err() != nil {
			return err
		}
		task, err = ask(ctx, x)
	}
	return nil
}

// stage is a cluster with a VM of ours, and others' beside it.
type stage struct {
	*cluster
	req      providers.CreateVMRequest
	twin     providers.CreateVMRequest // of a clone
	target   providers.Target
	disk     providers.DataDisk
	nic      providers.NIC
	snapshot string
	tidy     *process // makes and removes what the sweep is not about

	boots    int // before
	foreign  func(*testing.T)
	original []string // volumes
}

func newStage(t *testing.T, o *sweepOp) *stage {
	t.Helper()
	s := &stage{cluster: startCluster(t, proxmoxsim.Options{TaskDelay: time.Millisecond}), req: coreRequest(), twin: coreRequest()}
	if o.userData {
		s.options["iso_storage"] = "local"
		s.req.CloudInit.UserData = []byte("#!/bin/sh\n")
	}
	s.target = providers.Target{VMID: s.req.VMID}
	s.disk = providers.DataDisk{ID: models.NewID(), SizeGiB: 1}
	s.nic = providers.NIC{Network: models.NetworkBinding{Ref: "vmbr1"}, MAC: "52:54:00:aa:bb:cc"}
	s.snapshot = models.NewID()
	s.tidy = s.process(t)
	s.foreign = s.cluster.foreign(t.Context(), t, s.req.VMID)
	s.original = s.everything(t)
	for _, step := range o.before {
		s.do(t, step)
	}
	if vms := s.ours(t); len(vms) > 0 {
		s.boots = vms[0].Boots
	}
	return s
}

func (s *stage) do(t *testing.T, step step) {
	t.Helper()
	require.NoError(t, s.tidy.drive(t, step(s)))
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
func (s *stage) ours(t *testing.T) []simhv.VM {
	t.Helper()
	all, err := s.VMs(t.Context())
	require.NoError(t, err)
	return slices.DeleteFunc(all, func(vm simhv.VM) bool { return vm.Name == "foreign" })
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
	for _, id := range []string{s.twin.VMID, s.req.VMID} {
		s.do(t, func(*stage) asking { return doRemove(id) })
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
