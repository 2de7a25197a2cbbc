package providertest_test

import (
	"context"
	"errors"
	"maps"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/providertest"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// A mutant is an adapter that breaks one rule of the contract. The suite must
// find each of them, by the case that is named.

// envMutant makes TestMutant run the suite on the mutant of this name.
const envMutant = "PROVIDERTEST_MUTANT"

type mutant struct {
	*sim.Provider
	hv    simadmin.Admin
	which string
	once  *sync.Map
}

func mutants() map[string]string { // mutant: the case that must fail
	all := optionalMutants()
	maps.Copy(all, map[string]string{
		"a capability is lost":              "InfoReportsKindVersionAndCapabilities",
		"nodes have no capacity":            "NodesHaveNamesAndCapacity",
		"images are missing":                "InventoryHoldsWhatARequestNames",
		"the size is wrong":                 "CreateMakesACompleteStoppedVM",
		"create starts the VM":              "CreateMakesACompleteStoppedVM",
		"create twice is refused":           "CreateTwiceIsOneVM",
		"create accepts anything":           "CreateRefusesWhatCanNeverSucceed",
		"names are cut at a quote":          "CreateCarriesNamesLiterally",
		"start twice is refused":            "StartIsIdempotent",
		"stop does nothing":                 "StopByForceIsIdempotent",
		"graceful stop never ends":          "StopGracefullyIsIdempotent",
		"any mode will do":                  "StopRefusesOtherModes",
		"reboot stops the VM":               "RebootKeepsTheVMRunning",
		"reboot starts a VM":                "RebootOfAStoppedVMIsRefused",
		"delete needs a stopped VM":         "DeleteRemovesARunningVM",
		"delete does nothing":               "DeleteRemovesAStoppedVM",
		"delete of an absent VM fails":      "DeleteOfAnAbsentVMIsSuccess",
		"absent is Unknown":                 "AbsentVMsAreNotFound",
		"leftovers are hidden":              "CreateMakesACompleteStoppedVM",
		"pages overlap":                     "ListPagesAreStableAndComplete",
		"any page token will do":            "ListRefusesForeignPageTokens",
		"an unknown task is done":           "PollOfAnUnknownTaskIsNotFound",
		"the mark is not looked at":         "ForeignVMsAreNotThere",
		"a foreign VM is taken over":        "CreateNeverTakesAForeignVM",
		"errors are bare":                   "AbsentVMsAreNotFound",
		"the context is ignored":            "ACancelledContextEndsTheCall",
		"close does nothing":                "CallsAfterCloseAreUnavailable",
		"the ref decides and not the mark":  "TheMarkDecidesNotTheRef",
		"two creates at once are two tasks": "CreateAtOnceFromTwoProcessesIsOneVM",
	})
	return all
}

func TestTheSuiteFindsEveryMutant(t *testing.T) {
	named := map[string]bool{}
	for which, name := range mutants() {
		named[name] = true
		t.Run(which, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestMutant$/^"+name+"$", "-test.v")
			cmd.Env = append(os.Environ(), envMutant+"="+which)
			out, err := cmd.CombinedOutput()
			if err == nil || !strings.Contains(string(out), "--- FAIL: TestMutant/"+name) {
				t.Errorf("the case %s did not fail: %v\n%s", name, err, out)
			}
		})
	}
	for _, c := range providertest.Cases() {
		if !named[c.Name] {
			t.Errorf("no mutant shows that the case %s can fail", c.Name)
		}
	}
}

// TestMutant is run by TestTheSuiteFindsEveryMutant in a process of its own;
// with no mutant named it shows that the adapter under the mutants is good.
func TestMutant(t *testing.T) {
	hv, err := simhv.New(simhv.Options{})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(hv)
	t.Cleanup(srv.Close)
	admin, once := simadmin.Admin{URL: srv.URL}, &sync.Map{}
	providertest.Run(t, providertest.Harness{
		Open: func(ctx context.Context, t *testing.T) providers.Provider {
			t.Helper()
			p, err := sim.Factory().Open(ctx, providers.Config{InstallationID: "test", URL: srv.URL})
			if err != nil {
				t.Fatal(err)
			}
			return &mutant{Provider: p.(*sim.Provider), hv: admin, which: os.Getenv(envMutant), once: once}
		},
		Request: func(*testing.T) providers.CreateVMRequest {
			return providers.CreateVMRequest{
				VMID: models.NewID(), Name: "a", Node: "node-1", VCPUs: 1, MemoryMiB: 128, DiskGiB: 1,
				Image: models.ImageBinding{Ref: "tiny"},
				NICs:  []providers.NIC{{Network: models.NetworkBinding{Ref: "net0"}, MAC: "52:54:00:00:00:07"}},
			}
		},
		Foreign: func(ctx context.Context, t *testing.T, vmID string) func(*testing.T) {
			t.Helper()
			made, err := admin.CreateVM(ctx, simadmin.NewVM{
				Name: "foreign", UUID: vmID, Mark: &simadmin.Mark{VMID: vmID, InstallationID: "another"},
			})
			if err != nil {
				t.Fatal(err)
			}
			return func(t *testing.T) {
				t.Helper()
				vms, err := admin.VMs(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				for _, vm := range vms {
					if vm.NativeID == made.NativeID && vm.Mark != nil && *vm.Mark == *made.Mark {
						return
					}
				}
				t.Error("the foreign VM is gone or was changed")
			}
		},
		Capabilities: all(),
		Disks:        probe{admin},
		Boots:        probe{admin},
		Serial:       providertest.Dialogue{Type: "echo a b\r", Answer: "\na b\r"},
		LoseAnswer: func(ctx context.Context, t *testing.T, method string) {
			t.Helper()
			if op := (map[string]string{"AttachDisk": "attach_disk"})[method]; op != "" {
				if err := admin.SetFaults(ctx, simadmin.Fault{Op: op, Kind: simadmin.FaultErrorAfter}); err != nil {
					t.Fatal(err)
				}
			}
		},
		Settle: 2 * time.Second,
	})
}

func (m *mutant) is(which string) bool { return m.which == which }

func (m *mutant) fail(code providers.Code) error {
	return &providers.Error{Code: code, Provider: "mutant", Op: "op", Message: "no"}
}

func (m *mutant) Info(ctx context.Context) (providers.Info, error) {
	if m.is("the context is ignored") {
		ctx = context.WithoutCancel(ctx)
	}
	info, err := m.Provider.Info(ctx)
	if m.is("a capability is lost") {
		info.Capabilities = nil
	}
	return info, err
}

func (m *mutant) ListNodes(ctx context.Context) ([]providers.Node, error) {
	nodes, err := m.Provider.ListNodes(ctx)
	for i := range nodes {
		if m.is("nodes have no capacity") {
			nodes[i].VCPUs = 0
		}
	}
	return nodes, err
}

func (m *mutant) ListImages(ctx context.Context) ([]providers.Image, error) {
	if m.is("images are missing") {
		return nil, nil
	}
	return m.Provider.ListImages(ctx)
}

func (m *mutant) ListVMs(ctx context.Context, page providers.PageRequest) (providers.VMPage, error) {
	if m.is("any page token will do") && strings.HasPrefix(page.Token, "n") {
		page.Token = ""
	}
	if m.is("pages overlap") && page.Token != "" {
		if first, ok := m.once.Load("page"); ok {
			return first.(providers.VMPage), nil
		}
	}
	res, err := m.Provider.ListVMs(ctx, page)
	if m.is("pages overlap") && page.Token == "" && res.Next != "" {
		first := res
		first.Next = "" // the second page is the first one again
		m.once.Store("page", first)
	}
	return res, err
}

func (m *mutant) FindVM(ctx context.Context, vmID string) (providers.VM, error) {
	vm, err := m.Provider.FindVM(ctx, vmID)
	switch {
	case err != nil && m.is("absent is Unknown"):
		return vm, m.fail(providers.Unknown)
	case err != nil && m.is("errors are bare"):
		return vm, errors.New("bare")
	case m.is("the size is wrong"):
		vm.MemoryMiB++
	case m.is("the mark is not looked at") && providers.CodeOf(err) == providers.NotFound:
		vms, _ := m.hv.VMs(ctx)
		for _, v := range vms {
			if v.UUID == vmID {
				return providers.VM{VMID: vmID, Ref: providers.VMRef(v.NativeID), Power: models.PowerRunning}, nil
			}
		}
	}
	return vm, err
}

func (m *mutant) CreateVM(ctx context.Context, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	if m.is("create twice is refused") {
		if _, err := m.Provider.FindVM(ctx, req.VMID); err == nil {
			return "", "", m.fail(providers.AlreadyExists)
		}
	}
	if _, second := m.once.LoadOrStore("create "+req.VMID, true); second && m.is("two creates at once are two tasks") {
		return "", "", m.fail(providers.Internal)
	}
	if m.is("names are cut at a quote") {
		req.Name, _, _ = strings.Cut(req.Name, `"`)
	}
	if m.is("create accepts anything") {
		req.VCPUs, req.MemoryMiB, req.DiskGiB = max(req.VCPUs, 1), max(req.MemoryMiB, 1), max(req.DiskGiB, 1)
	}
	ref, task, err := m.Provider.CreateVM(ctx, req)
	switch {
	case err == nil && m.is("create starts the VM"):
		_, err = m.StartVM(ctx, providers.Target{VMID: req.VMID})
	case err != nil && m.is("a foreign VM is taken over"):
		vms, _ := m.hv.VMs(ctx)
		for _, v := range vms {
			if v.UUID == req.VMID {
				_, err := m.hv.PatchVM(ctx, v.NativeID, simadmin.VMChange{Mark: []byte(`{"vm_id":"` + req.VMID + `","installation_id":"test"}`)})
				return providers.VMRef(v.NativeID), "", err
			}
		}
	}
	return ref, task, err
}

func (m *mutant) StartVM(ctx context.Context, t providers.Target) (providers.TaskRef, error) {
	if m.is("start twice is refused") {
		if vm, err := m.Provider.FindVM(ctx, t.VMID); err == nil && vm.Power == models.PowerRunning {
			return "", m.fail(providers.FailedPrecondition)
		}
	}
	return m.Provider.StartVM(ctx, t)
}

func (m *mutant) StopVM(ctx context.Context, t providers.Target, mode models.PowerMode) (providers.TaskRef, error) {
	switch {
	case m.is("stop does nothing"):
		return "", nil
	case m.is("graceful stop never ends") && mode == models.ModeGraceful:
		return "never", nil
	case m.is("any mode will do"):
		mode = models.ModeForce
	case m.is("the ref decides and not the mark") && t.Ref != "":
		t.VMID = m.owner(ctx, t.Ref)
	}
	return m.Provider.StopVM(ctx, t, mode)
}

// owner is the VM that bears a ref now.
func (m *mutant) owner(ctx context.Context, ref providers.VMRef) string {
	vms, _ := m.hv.VMs(ctx)
	for _, v := range vms {
		if v.NativeID == string(ref) && v.Mark != nil {
			return v.Mark.VMID
		}
	}
	return ""
}

func (m *mutant) RebootVM(ctx context.Context, t providers.Target, mode models.PowerMode, token string) (providers.TaskRef, error) {
	switch {
	case m.is("reboot stops the VM"):
		return m.Provider.StopVM(ctx, t, models.ModeForce)
	case m.is("reboot starts a VM"):
		return m.StartVM(ctx, t)
	}
	return m.Provider.RebootVM(ctx, t, mode, token)
}

func (m *mutant) PollTask(ctx context.Context, task providers.TaskRef) (providers.TaskStatus, error) {
	switch {
	case task == "never":
		return providers.TaskStatus{}, nil
	case m.is("an unknown task is done"):
		return providers.TaskStatus{Done: true}, nil
	}
	return m.Provider.PollTask(ctx, task)
}

func (m *mutant) Close() error {
	if m.is("close does nothing") {
		return nil
	}
	return m.Provider.Close()
}
