package vsphere

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestInventory reads what a vCenter has.
func TestInventory(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{Machines: 2})
	p := openWith(t, testConfig(s, nil))
	info, err := p.Info(t.Context())
	if err != nil || info.Kind != Kind || info.Version == "" || !slices.Contains(info.Capabilities, models.CapCloudInit) {
		t.Errorf("info = %+v, %v", info, err)
	}
	nodes, err := p.ListNodes(t.Context())
	if err != nil || len(nodes) != 2 {
		t.Fatalf("nodes = %+v, %v", nodes, err)
	}
	want := providers.Node{Name: "DC0_C0_H0", Cluster: "DC0_C0", State: models.NodeUp, VCPUs: 2, MemoryMiB: 4095}
	if nodes[0] != want {
		t.Errorf("node = %+v, want %+v", nodes[0], want)
	}
	images, err := p.ListImages(t.Context())
	if err != nil || !slices.Equal(images, []providers.Image{{Ref: vspheresim.Template, SizeGiB: vspheresim.TemplateGiB}}) {
		t.Errorf("images = %+v, %v", images, err)
	}
	networks, err := p.ListNetworks(t.Context())
	for _, name := range []string{vspheresim.Portgroup, vspheresim.Network} {
		if !slices.Contains(networks, providers.Network{Ref: name, Type: models.NetworkNetwork}) || err != nil {
			t.Errorf("networks = %+v, %v", networks, err)
		}
	}
	page, err := p.ListVMs(t.Context(), providers.PageRequest{})
	if err != nil || len(page.VMs) != 0 || page.Next != "" {
		t.Errorf("VMs of ours = %+v, %v", page, err)
	}
}

// TestNodeStates tells hosts apart that take no VMs.
func TestNodeStates(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{Hosts: 3})
	for i, set := range []func(*simulator.HostSystem){
		func(h *simulator.HostSystem) { h.Runtime.InMaintenanceMode = true },
		func(h *simulator.HostSystem) {
			h.Runtime.ConnectionState = types.HostSystemConnectionStateNotResponding
		},
	} {
		for _, e := range s.Model.Map().All("HostSystem") {
			if h, ok := e.(*simulator.HostSystem); ok && h.Name == fmt.Sprintf("DC0_C0_H%d", i) {
				set(h)
			}
		}
	}
	nodes, err := openWith(t, testConfig(s, nil)).ListNodes(t.Context())
	if err != nil || len(nodes) != 3 {
		t.Fatalf("nodes = %+v, %v", nodes, err)
	}
	for i, want := range []models.NodeState{models.NodeMaintenance, models.NodeDown, models.NodeUp} {
		if nodes[i].State != want {
			t.Errorf("%s is %s, want %s", nodes[i].Name, nodes[i].State, want)
		}
	}
}

// TestInventoryOfESXi reads what a host has that stands alone.
func TestInventoryOfESXi(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{ESXi: true})
	p := openWith(t, testConfig(s, nil))
	nodes, err := p.ListNodes(t.Context())
	if err != nil || len(nodes) != 1 || nodes[0].Cluster != noCluster {
		t.Errorf("nodes = %+v, %v", nodes, err)
	}
	info, err := p.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []models.Capability{models.CapLiveMigration, models.CapColdMigration} {
		if slices.Contains(info.Capabilities, c) {
			t.Errorf("a host that stands alone has %s", c)
		}
	}
	if networks, err := p.ListNetworks(t.Context()); err != nil || len(networks) != 1 {
		t.Errorf("networks = %+v, %v", networks, err)
	}
}

// adopt lets the simulator's VMs, but for the template, be ours, and returns their IDs.
func adopt(t *testing.T, s *vspheresim.Server, installation string) []string {
	t.Helper()
	var ids []string
	for _, e := range s.Model.Map().All("VirtualMachine") {
		vm, ok := e.(*simulator.VirtualMachine)
		if !ok || vm.Config.Template {
			continue
		}
		id := models.NewID()
		vm.Config.InstanceUuid = id
		vm.Config.ExtraConfig = append(vm.Config.ExtraConfig, option(keyVMID, id), option(keyInstallation, installation), option(keyName, vm.Name))
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

func listIDs(ctx context.Context, t *testing.T, p *Provider, limit int) []string {
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

// TestAnotherProcessReadsOn has a page read by a process that did not read the one
// before it.
func TestAnotherProcessReadsOn(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{Machines: 5})
	want := adopt(t, s, testInstallation)
	var got []string
	req := providers.PageRequest{Limit: 2}
	for {
		page, err := openWith(t, testConfig(s, nil)).ListVMs(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, vm := range page.VMs {
			got = append(got, vm.VMID)
		}
		if req.Token = page.Next; req.Token == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("VMs = %v, want %v", got, want)
	}
}

// TestForeignVMsAreNotThere has another installation's VMs, and an operator's copy of
// ours, which has our marks and another instance UUID.
func TestForeignVMsAreNotThere(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{Machines: 3})
	ids := adopt(t, s, "installation-2")
	p := openWith(t, testConfig(s, nil))
	if got := listIDs(t.Context(), t, p, 0); len(got) != 0 {
		t.Errorf("VMs of another installation are listed: %v", got)
	}
	_, err := p.FindVM(t.Context(), ids[0])
	wantCode(t, "FindVM", err, providers.NotFound)
	ours := adopt(t, s, testInstallation)
	for _, e := range s.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok && vm.Config.InstanceUuid == ours[0] {
			vm.Config.InstanceUuid = models.NewID()
		}
	}
	_, err = p.FindVM(t.Context(), ours[0])
	wantCode(t, "FindVM of a copy", err, providers.NotFound)
}

// TestSessionEndsDuringSweep ends the session between two pages: the view is gone with
// it, and reading begins anew.
func TestSessionEndsDuringSweep(t *testing.T) {
	t.Parallel()
	s := newPeer(t, vspheresim.Options{Machines: 3})
	want := adopt(t, s, testInstallation)
	p := openWith(t, testConfig(s, nil))
	ended := make(chan struct{}, 1)
	ended <- struct{}{}
	s.Before(func(c vspheresim.Call) {
		if c.Method != "RetrievePropertiesEx" {
			return
		}
		select {
		case <-ended:
			if err := s.EndSessions(context.Background()); err != nil {
				t.Error(err)
			}
		default:
		}
	})
	if got := listIDs(t.Context(), t, p, 0); !slices.Equal(got, want) {
		t.Errorf("VMs = %v, want %v", got, want)
	}
	if n := s.Count("Login"); n != 2 {
		t.Errorf("%d logins, want 2", n)
	}
}
