package activities_test

import (
	"context"
	"sync"
	"testing"

	"go.temporal.io/sdk/testsuite"

	"github.com/hypervisor-control-plane/hcp/activities"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// hypervisor is one VM that a test writes the answers for. Methods that a test
// does not set fail it, by the nil interface below.
type hypervisor struct {
	providers.Provider
	mu    sync.Mutex
	calls []string
	power models.PowerState
	there bool

	create func() (providers.TaskRef, error)
	start  func() (providers.TaskRef, error)
	stop   func(models.PowerMode) (providers.TaskRef, error)
	reboot func(token string) (providers.TaskRef, error)
	remove func() (providers.TaskRef, error)
	poll   func(providers.TaskRef) (providers.TaskStatus, error)
	left   func() ([]providers.Object, error)
}

func (h *hypervisor) called(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.calls = append(h.calls, what)
}

func (h *hypervisor) count(what string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range h.calls {
		if c == what {
			n++
		}
	}
	return n
}

func (h *hypervisor) Open(context.Context, string) (providers.Provider, error) { return h, nil }

func (h *hypervisor) FindVM(context.Context, string) (providers.VM, error) {
	h.called("find")
	if !h.there {
		return providers.VM{}, &providers.Error{Code: providers.NotFound, Message: "no such VM"}
	}
	return providers.VM{VMID: "vm-1", Ref: "ref-1", Power: h.power}, nil
}

func (h *hypervisor) CreateVM(_ context.Context, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	h.called("create " + req.CloudInit.Hostname)
	task, err := h.create()
	return "ref-1", task, err
}

func (h *hypervisor) StartVM(context.Context, providers.Target) (providers.TaskRef, error) {
	h.called("start")
	return h.start()
}

func (h *hypervisor) StopVM(_ context.Context, _ providers.Target, mode models.PowerMode) (providers.TaskRef, error) {
	h.called("stop " + string(mode))
	return h.stop(mode)
}

func (h *hypervisor) RebootVM(_ context.Context, _ providers.Target, _ models.PowerMode, token string) (providers.TaskRef, error) {
	h.called("reboot " + token)
	return h.reboot(token)
}

func (h *hypervisor) DeleteVM(context.Context, providers.Target) (providers.TaskRef, error) {
	h.called("delete")
	return h.remove()
}

func (h *hypervisor) PollTask(_ context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	h.called("poll " + string(task))
	return h.poll(task)
}

func (h *hypervisor) Leftovers(context.Context, string) ([]providers.Object, error) {
	h.called("leftovers")
	if h.left == nil {
		return nil, nil
	}
	return h.left()
}

// Blueprint makes hypervisor the store as well.
func (h *hypervisor) Blueprint(context.Context, string) (models.Blueprint, error) {
	return models.Blueprint{VM: models.VM{ID: "vm-1", Name: "Web Server #1"}}, nil
}

// BlueprintWith is as Blueprint.
func (h *hypervisor) BlueprintWith(_ context.Context, _, imageID string) (models.Blueprint, error) {
	return models.Blueprint{VM: models.VM{ID: "vm-1", Name: "Web Server #1", ImageID: imageID}, Image: models.ImageBinding{Ref: imageID}}, nil
}

// env is one attempt of an activity.
func (h *hypervisor) env(t *testing.T) (*testsuite.TestActivityEnvironment, *activities.VM) {
	t.Helper()
	var s testsuite.WorkflowTestSuite
	s.SetLogger(quiet{})
	env := s.NewTestActivityEnvironment()
	a := &activities.VM{Providers: h, Store: h}
	env.RegisterActivity(a)
	return env, a
}

type quiet struct{}

func (quiet) Debug(string, ...any) {}
func (quiet) Info(string, ...any)  {}
func (quiet) Warn(string, ...any)  {}
func (quiet) Error(string, ...any) {}

func vmInput() activities.VMInput { return activities.VMInput{ProviderID: "p", VMID: "vm-1"} }

func nothing() (providers.TaskRef, error) { return "", nil }
