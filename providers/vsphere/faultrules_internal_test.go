package vsphere

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestTheSessionEndsWhileAVMIsMade ends it at each call from the clone on: one login
// follows, the making goes on, and there is one VM.
func TestTheSessionEndsWhileAVMIsMade(t *testing.T) {
	t.Parallel()
	for n := 1; n <= 8; n++ {
		t.Run(fmt.Sprintf("call %d", n), func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, vspheresim.Options{})
			var mu sync.Mutex
			seen, ended := 0, false
			s.Before(func(c vspheresim.Call) {
				mu.Lock()
				defer mu.Unlock()
				if seen > 0 || c.Method == "CloneVM_Task" {
					seen++
				}
				if seen == n && !ended {
					ended = true
					if err := s.EndSessions(t.Context()); err != nil {
						t.Error(err)
					}
				}
			})
			req := newRequest()
			wantAsAsked(t, made(t, p, req), req)
			require.True(t, ended)
			require.Equal(t, 2, s.Count("Login"))
			require.Equal(t, 1, machines(t, s))
		})
	}
}

// TestACallIsRefusedForItsSessionOnce has the rule of the simulator refuse the calls of a
// making, once each.
func TestACallIsRefusedForItsSessionOnce(t *testing.T) {
	t.Parallel()
	for _, method := range []string{"CloneVM_Task", "ReconfigVM_Task", "FindAllByUuid", "PowerOnVM_Task"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, vspheresim.Options{})
			require.Nil(t, p.ready(t.Context(), "Test"))
			_, err := p.FindVM(t.Context(), models.NewID()) // the session is a good one
			wantCode(t, "FindVM", err, providers.NotFound)
			s.Service.AddFaultRule(&simulator.FaultInjectionRule{
				MethodName: method, ObjectType: "*", ObjectName: "*", Probability: 1, Enabled: true, MaxCount: 1,
				FaultType: simulator.FaultTypeNotAuthenticated,
			})
			req := newRequest()
			running(t, p, req)
			require.Equal(t, 2, s.Count("Login"))
			require.Equal(t, 1, machines(t, s))
		})
	}
}

// TestAPasswordThatIsChanged is tried once in a cool-down, by however many callers, and
// the provider works again once the password is the old one.
func TestAPasswordThatIsChanged(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{})
	role := append(documentedRole(t), seeing, "System.Read")
	s.AddAccount(leastAccount, leastSecret, role...)
	cfg := testConfig(s, map[string]string{optCoolDown: "1h"})
	cfg.Credentials.Username, cfg.Credentials.Password = leastAccount, leastSecret
	p := openWith(t, cfg)
	var ahead atomic.Int64
	p.session.refusal.now = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	req := newRequest()
	made(t, p, req)
	s.AddAccount(leastAccount, "another", role...)
	require.NoError(t, s.EndSessions(t.Context()))
	s.Forget()
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			_, err := p.StartVM(t.Context(), target(req))
			wantCode(t, "StartVM", err, providers.Unauthenticated)
		})
	}
	group.Wait()
	require.Equal(t, 1, s.Count("Login"), "an account would be locked")
	s.AddAccount(leastAccount, leastSecret, role...)
	ahead.Store(int64(2 * time.Hour))
	_, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
}

// TestManyAtOnceOnASlowServer lives the lives of VMs side by side: answers take their
// time, each another one.
func TestManyAtOnceOnASlowServer(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{Delay: simulator.DelayConfig{Delay: 5, DelayJitter: 0.5}})
	var group sync.WaitGroup
	errs := make([]error, 12)
	for i := range errs {
		req := newRequest()
		req.NICs = req.NICs[:1]
		group.Go(func() {
			for _, step := range []attempt{createOne, startOne, attachOne, migrateOne(true), stopOne(models.ModeForce), detachOne, deleteOne} {
				do := persistently(func(ctx context.Context, p *Provider) (providers.TaskRef, error) { return step(ctx, p, req) })
				if errs[i] = do(t.Context(), p); errs[i] != nil {
					return
				}
			}
			left, err := p.Leftovers(t.Context(), req.VMID)
			if len(left) > 0 {
				err = fmt.Errorf("there is left %v", left)
			}
			errs[i] = err
		})
	}
	group.Wait()
	require.NoError(t, errors.Join(errs...))
	require.Zero(t, machines(t, s))
	require.Equal(t, 1, s.Count("Login"))
	require.Equal(t, len(errs), s.Count("CloneVM_Task"))
}

// readings are what is read of a provider, each an error where it is not what it has to
// be.
func readings(req providers.CreateVMRequest) map[string]func(ctx context.Context, p *Provider) error {
	return map[string]func(ctx context.Context, p *Provider) error{
		"FindVM": func(ctx context.Context, p *Provider) error {
			_, err := p.FindVM(ctx, req.VMID)
			return err
		},
		"Leftovers": func(ctx context.Context, p *Provider) error {
			left, err := p.Leftovers(ctx, req.VMID)
			return some(len(left), err)
		},
		"ListVMs": func(ctx context.Context, p *Provider) error {
			page, err := p.ListVMs(ctx, providers.PageRequest{})
			return some(len(page.VMs), err)
		},
		"ListNodes": func(ctx context.Context, p *Provider) error {
			nodes, err := p.ListNodes(ctx)
			return some(len(nodes), err)
		},
		"ListImages": func(ctx context.Context, p *Provider) error {
			images, err := p.ListImages(ctx)
			return some(len(images), err)
		},
		"ListNetworks": func(ctx context.Context, p *Provider) error {
			networks, err := p.ListNetworks(ctx)
			return some(len(networks), err)
		},
		"Info": func(ctx context.Context, p *Provider) error {
			info, err := p.Info(ctx)
			return some(len(info.Capabilities), err)
		},
		"DeleteVM": func(ctx context.Context, p *Provider) error {
			if _, err := p.DeleteVM(ctx, target(req)); err != nil {
				return err
			}
			return errNothing
		},
	}
}

// TestNothingIsTakenForAbsent has each kind of reading call refused: what is there is
// never told to be missing.
func TestNothingIsTakenForAbsent(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	refusals := 0
	for _, row := range []faultRow{
		{&types.ManagedObjectNotFound{}, providers.Aborted, ""},
		{&types.NoPermission{}, providers.PermissionDenied, ""},
		{&types.HostCommunication{}, providers.Unavailable, ""},
		{&types.Timedout{}, providers.DeadlineExceeded, ""},
		{&types.SystemError{}, providers.Unknown, ""},
	} {
		for _, call := range []string{"FindAllByUuid", "RetrieveProperties", "RetrievePropertiesEx", "CreateContainerView"} {
			for name, read := range readings(req) {
				if name == "DeleteVM" && call != "FindAllByUuid" {
					continue // it would be deleted: the VM itself can be read
				}
				s.Service.ClearFaultRules()
				s.Service.AddFaultRule(faultOf(call, row.fault))
				err := read(t.Context(), p)
				if err == nil {
					continue // it makes no such call
				}
				refusals++
				wantCode(t, fmt.Sprintf("%s when %s is refused by %T", name, call, row.fault), err, row.code)
			}
		}
	}
	s.Service.ClearFaultRules()
	require.Greater(t, refusals, 50, "the rules refused nothing")
	wantAsAsked(t, found(t, p, req.VMID), req)
}

// TestWhatIsLackingIsNamed for operators, as old and new servers tell it, and not for
// tenants.
func TestWhatIsLackingIsNamed(t *testing.T) {
	t.Parallel()
	vm := reference(typeVM, "vm-7")
	for name, f := range map[string]*types.NoPermission{
		"before 7.0.3": {Object: &vm, PrivilegeId: "VirtualMachine.Interact.PowerOn"},
		"since 7.0.3": {MissingPrivileges: []types.NoPermissionEntityPrivileges{
			{Entity: vm, PrivilegeIds: []string{"VirtualMachine.Interact.PowerOn"}},
		}},
	} {
		for _, err := range []error{answered(f), failed(f)} {
			got := classify("Test", err)
			require.Equal(t, providers.PermissionDenied, got.Code, name)
			require.ErrorContains(t, got, "VirtualMachine.Interact.PowerOn on vm-7", name)
			require.False(t, strings.Contains(got.Message, "vm-7"), name)
			require.True(t, isFaultOf(got, &types.NoPermission{}), name)
		}
	}
	require.NotContains(t, classify("Test", answered(&types.NoPermission{})).Error(), "lacks")
}
