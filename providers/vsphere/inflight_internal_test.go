package vsphere

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// held keeps every clone at work, as long as f runs, from making its VM.
func held(t *testing.T, s *vspheresim.Server, f func()) {
	t.Helper()
	dc, ok := s.Model.Map().Any("Datacenter").(*simulator.Datacenter)
	require.True(t, ok)
	folder := s.Model.Map().Get(dc.VmFolder)
	s.Model.Map().WithLock(&simulator.Context{}, folder, f)
}

// begun begins a clone as a process does that dies right after it.
func begun(t *testing.T, p *Provider, req providers.CreateVMRequest) func() string {
	t.Helper()
	o, err := p.check("Test", req)
	require.Nil(t, err)
	src, err := p.template(t.Context(), "Test", req.Image.Ref)
	require.Nil(t, err)
	at, err := p.place(t.Context(), "Test", o, src)
	require.Nil(t, err)
	return func() string {
		task, err := p.clone(t.Context(), "Test", o, src, at)
		require.Nil(t, err)
		return string(task)
	}
}

// machines counts the VMs, the template not.
func machines(t *testing.T, s *vspheresim.Server) int {
	t.Helper()
	return len(s.Model.Map().All("VirtualMachine")) - 1
}

func TestACloneAtWorkIsNoAbsence(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req, other := newRequest(), newRequest()
	begin := begun(t, p, req)
	held(t, s, func() {
		task := begin()
		m, cloning, err := p.settled(t.Context(), "Test", req.VMID)
		require.Nil(t, err)
		require.Nil(t, m)
		require.Equal(t, task, cloning)
		_, failure := p.Leftovers(t.Context(), req.VMID)
		wantCode(t, "Leftovers while the clone is at work", failure, providers.Aborted)

		m, cloning, err = p.settled(t.Context(), "Test", other.VMID)
		require.Nil(t, err)
		require.Nil(t, m)
		require.Empty(t, cloning, "another VM's clone is at work")
	})
}

// TestAMakerThatDiedIsFollowed shows that a clone whose reference was never stored
// ends as one complete VM.
func TestAMakerThatDiedIsFollowed(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	next := openWith(t, testConfig(s, nil))
	req := newRequest()
	begin := begun(t, p, req)
	var task providers.TaskRef
	held(t, s, func() {
		begin()
		require.NoError(t, p.Close())
		var err error
		_, task, err = next.CreateVM(t.Context(), req)
		require.NoError(t, err)
		require.NotEmpty(t, task)
		st, err := next.PollTask(t.Context(), task)
		require.NoError(t, err)
		require.False(t, st.Done)
	})
	settle(t, next, task)
	wantAsAsked(t, found(t, next, req.VMID), req)
	require.Equal(t, 1, s.Count("CloneVM_Task"))
	require.Equal(t, 1, machines(t, s))
}

// TestAMakerThatDiedBeforeItsLastWriteIsFollowed shows that a VM which is cloned, but
// not finished, is finished by the next call.
func TestAMakerThatDiedBeforeItsLastWriteIsFollowed(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	task := begun(t, p, req)()
	require.Nil(t, p.await(t.Context(), "Test", task))
	require.True(t, found(t, p, req.VMID).Mark.Making)
	p.silence = time.Nanosecond
	_, err := p.PollTask(t.Context(), workTask(req.VMID, workCreate, task))
	wantCode(t, "PollTask of work that was interrupted", err, providers.NotFound)
	_, err = p.StartVM(t.Context(), providers.Target{VMID: req.VMID})
	wantCode(t, "StartVM of a VM that is not complete", err, providers.FailedPrecondition)
	wantAsAsked(t, made(t, p, req), req)
	require.Equal(t, 1, s.Count("CloneVM_Task"))
}

func TestALostAnswerIsOneVM(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"CloneVM_Task", "ReconfigVM_Task"} {
		s, p := openPeer(t, vspheresim.Options{})
		req := newRequest()
		s.LoseAnswer(method)
		eventually(t, "the VM is made though the answer of "+method+" was lost", func() bool {
			_, task, err := p.CreateVM(t.Context(), req)
			if err == nil {
				err = outcome(t, p, task)
			}
			if err != nil {
				require.True(t, providers.CodeOf(err).Retryable(), "%v", err)
			}
			return err == nil
		})
		wantAsAsked(t, found(t, p, req.VMID), req)
		require.Equal(t, 1, machines(t, s))
	}
}

// TestManyMakersAreOneVM shows that the name in the folder is what only one of them
// gets.
func TestManyMakersAreOneVM(t *testing.T) {
	t.Parallel()
	s, first := openPeer(t, vspheresim.Options{})
	makers := []*Provider{first}
	for range 3 {
		makers = append(makers, openWith(t, testConfig(s, nil)))
	}
	req := newRequest()
	var wg sync.WaitGroup
	for _, p := range makers {
		wg.Go(func() {
			eventually(t, "the VM is made", func() bool {
				_, task, err := p.CreateVM(t.Context(), req)
				if err == nil {
					err = outcome(t, p, task)
				}
				if err != nil && !providers.CodeOf(err).Retryable() {
					t.Errorf("CreateVM: %v", err)
				}
				return err == nil
			})
		})
	}
	wg.Wait()
	wantAsAsked(t, found(t, first, req.VMID), req)
	require.Equal(t, 1, machines(t, s))
}

// TestDeletionWaitsForTheClone shows that a VM which is being cloned when it is to go
// is not left behind.
func TestDeletionWaitsForTheClone(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	begin := begun(t, p, req)
	var task providers.TaskRef
	held(t, s, func() {
		begin()
		var err error
		task, err = p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
		require.NoError(t, err)
		require.NotEmpty(t, task)
	})
	settle(t, p, task)
	gone(t, p, req.VMID)
	require.Zero(t, machines(t, s))
}

// TestWhatIsForeignStays shows that neither the identity nor the name of another's VM
// is taken.
func TestWhatIsForeignStays(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	cfg := testConfig(s, nil)
	cfg.InstallationID = "installation-2"
	other := openWith(t, cfg)
	req := newRequest()
	theirs := made(t, other, req)

	_, _, err := p.CreateVM(t.Context(), req)
	wantCode(t, "CreateVM with another's identity", err, providers.AlreadyExists)
	_, err = p.StartVM(t.Context(), providers.Target{VMID: req.VMID})
	wantCode(t, "StartVM", err, providers.NotFound)
	task, err := p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	settle(t, p, task)
	gone(t, p, req.VMID)
	require.Equal(t, theirs.Ref, found(t, other, req.VMID).Ref)

	// The same name without the identity: a VM whose instance UUID was changed.
	c, err := s.Client(t.Context())
	require.NoError(t, err)
	res, err := methods.ReconfigVM_Task(t.Context(), c, &types.ReconfigVM_Task{
		This: theirs.Ref, Spec: types.VirtualMachineConfigSpec{InstanceUuid: models.NewID()},
	})
	require.NoError(t, err)
	require.Nil(t, p.await(t.Context(), "Test", res.Returnval.Value))
	_, task, err = p.CreateVM(t.Context(), req)
	if err == nil {
		err = outcome(t, p, task)
	}
	wantCode(t, "CreateVM with another's name", err, providers.AlreadyExists)
	require.Equal(t, 1, machines(t, s))
}

func TestRefusedClones(t *testing.T) {
	t.Parallel()
	for code, fault := range map[providers.Code]types.BaseMethodFault{
		providers.ResourceExhausted:  &types.InsufficientResourcesFault{},
		providers.PermissionDenied:   &types.NoPermission{},
		providers.Aborted:            &types.TaskInProgress{},
		providers.FailedPrecondition: &types.InvalidPowerState{},
	} {
		s, p := openPeer(t, vspheresim.Options{})
		s.Service.AddFaultRule(faultOf("CloneVM_Task", fault))
		req := newRequest()
		_, _, err := p.CreateVM(t.Context(), req)
		wantCode(t, "CreateVM", err, code)
		gone(t, p, req.VMID)
	}
}

// TestSessionsThatEndInBetween shows that a session which is ended before each step of
// the making costs a login, and nothing else.
func TestSessionsThatEndInBetween(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	var once sync.Map
	s.Before(func(c vspheresim.Call) {
		switch c.Method {
		case "CloneVM_Task", "ReconfigVM_Task", "PowerOnVM_Task", "Destroy_Task":
			if _, seen := once.LoadOrStore(c.Method, true); !seen {
				if err := s.EndSessions(t.Context()); err != nil {
					t.Error(err)
				}
			}
		}
	})
	running(t, p, req)
	task, err := p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	settle(t, p, task)
	gone(t, p, req.VMID)
	require.Equal(t, 5, s.Count("Login"))
	require.Zero(t, machines(t, s))
}

func TestRebootOnceForAToken(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	target := providers.Target{VMID: req.VMID}
	reboot := func(p *Provider, mode models.PowerMode, token string) error {
		task, err := p.RebootVM(t.Context(), target, mode, token)
		if err == nil {
			err = outcome(t, p, task)
		}
		return err
	}
	require.NoError(t, reboot(p, models.ModeForce, "token-1"))
	require.NoError(t, reboot(openWith(t, testConfig(s, nil)), models.ModeForce, "token-1"))
	require.Equal(t, 1, s.Count("ResetVM_Task"))
	s.LoseAnswer("ResetVM_Task")
	eventually(t, "the VM is rebooted though the answer was lost", func() bool { return reboot(p, models.ModeForce, "token-2") == nil })
	require.Equal(t, 2, s.Count("ResetVM_Task"))
	require.Equal(t, models.PowerRunning, found(t, p, req.VMID).power())

	// The guest's tools do not run.
	wantCode(t, "RebootVM", reboot(p, models.ModeGraceful, "token-3"), providers.FailedPrecondition)
	vm, ok := s.Model.Map().Get(found(t, p, req.VMID).Ref).(*simulator.VirtualMachine)
	require.True(t, ok)
	s.Model.Map().WithLock(&simulator.Context{}, vm, func() {
		vm.Guest.ToolsRunningStatus = string(types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	})
	require.NoError(t, reboot(p, models.ModeGraceful, "token-3"))
	require.NoError(t, reboot(p, models.ModeGraceful, "token-3"))
	require.Equal(t, 2, s.Count("RebootGuest"))
}

// TestDeletionOfAVMThatGoesMeanwhile shows that an operator who is faster is no error.
func TestDeletionOfAVMThatGoesMeanwhile(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	ref := made(t, p, req).Ref
	c, err := s.Client(t.Context())
	require.NoError(t, err)
	var once sync.Once
	s.Before(func(call vspheresim.Call) {
		if call.Method != "Destroy_Task" {
			return
		}
		once.Do(func() {
			res, err := methods.Destroy_Task(t.Context(), c, &types.Destroy_Task{This: ref})
			if err != nil {
				t.Error(err)
				return
			}
			task, ok := s.Model.Map().Get(res.Returnval).(*simulator.Task)
			if ok {
				task.Wait()
			}
		})
	})
	task, err := p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	require.NoError(t, err)
	settle(t, p, task)
	gone(t, p, req.VMID)
}
