package vspheresim_test

import (
	"context"
	"runtime"
	"slices"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

const (
	installation = "installation-1"
	machines     = 2000
	maxCalls     = 20      // of the SOAP API, for a whole inventory with the login
	maxGrowth    = 8 << 20 // bytes, of the simulator and of the adapter together
)

func open(t testing.TB, s *vspheresim.Server) providers.Provider {
	t.Helper()
	p, err := vsphere.Open(t.Context(), providers.Config{
		ProviderID: "provider-1", InstallationID: installation, URL: s.URL(),
		Options:     map[string]string{"thumbprint": s.Thumbprint()},
		Credentials: models.Credentials{Username: vspheresim.Username, Password: vspheresim.Password},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// adopt lets the simulator's VMs, but for the template, be ours, and returns their IDs.
func adopt(s *vspheresim.Server) []string {
	var ids []string
	for _, e := range s.Model.Map().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok || vm.Config.Template {
			continue
		}
		id := models.NewID()
		vm.Config.InstanceUuid = id
		for key, value := range map[string]string{"hcp.vm_id": id, "hcp.installation_id": installation, "hcp.name": vm.Name} {
			vm.Config.ExtraConfig = append(vm.Config.ExtraConfig, &types.OptionValue{Key: key, Value: value})
		}
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func listIDs(ctx context.Context, t *testing.T, p providers.Provider, limit int) []string {
	t.Helper()
	var out []string
	req := providers.PageRequest{Limit: limit}
	for {
		page, err := p.ListVMs(ctx, req)
		if err != nil {
			t.Fatal(err)
		}
		for _, vm := range page.VMs {
			if vm.Node == "" || vm.VCPUs == 0 || vm.Incomplete {
				t.Fatalf("vm = %+v", vm)
			}
			out = append(out, vm.VMID)
		}
		if page.Next == "" {
			return out
		}
		req.Token = page.Next
	}
}

// TestInventoryOf2000VMs reads a whole inventory as the control plane does, with the
// login, in few calls: none of them is for one VM.
// What stays in memory of it is the order of the list, and nothing of the VMs.
func TestInventoryOf2000VMs(t *testing.T) {
	s, err := vspheresim.Start(vspheresim.Options{Machines: machines})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	want := adopt(s)
	if len(want) != machines {
		t.Fatalf("%d VMs, want %d", len(want), machines)
	}
	p := open(t, s)
	s.Forget()
	if nodes, err := p.ListNodes(t.Context()); err != nil || len(nodes) != 2 {
		t.Fatalf("nodes = %v, %v", nodes, err)
	}
	if got := listIDs(t.Context(), t, p, 200); !slices.Equal(got, want) {
		t.Errorf("%d VMs, want %d in order", len(got), len(want))
	}
	calls := s.Calls()
	t.Logf("%d calls for the nodes, %d VMs in pages of 200 and the login: %v", len(calls), len(want), calls)
	if len(calls) > maxCalls {
		t.Errorf("%d calls, want at most %d", len(calls), maxCalls)
	}

	s.Forget()
	if got := listIDs(t.Context(), t, p, machines); !slices.Equal(got, want) {
		t.Errorf("%d VMs in one page, want %d in order", len(got), len(want))
	}
	t.Logf("%d calls in one page", len(s.Calls()))
	if n := len(s.Calls()); n > 10 {
		t.Errorf("%d calls for one page, want at most 10", n)
	}

	s.Forget()
	if images, err := p.ListImages(t.Context()); err != nil || len(images) != 1 {
		t.Errorf("images = %v, %v", images, err)
	}
	if n := len(s.Calls()); n > 10 {
		t.Errorf("%d calls for the images among %d VMs, want at most 10", n, machines)
	}

	before := heap()
	for range 3 {
		if got := listIDs(t.Context(), t, p, 200); len(got) != len(want) {
			t.Fatalf("%d VMs, want %d", len(got), len(want))
		}
	}
	s.Forget()
	grown := int64(heap()) - int64(before)
	t.Logf("three more inventories left %d KiB behind", grown>>10)
	if grown > maxGrowth {
		t.Errorf("three more inventories left %d bytes behind, want at most %d", grown, maxGrowth)
	}
}

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
