package proxmox

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// calls is how many calls of the API the cluster has answered.
func (p peer) calls(t testing.TB) uint64 {
	t.Helper()
	st, err := p.admin.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var n uint64
	for _, of := range st.Calls {
		n += of
	}
	return n
}

// The cluster whose inventory is taken.
const (
	inventoryVMs   = 1000
	inventoryNodes = 10
	inventoryPage  = 200
)

// TestAnInventoryOfTheSimulatedCluster: nodes, images and networks cost a constant
// number of calls, and the VMs one for each page.
func TestAnInventoryOfTheSimulatedCluster(t *testing.T) {
	sim, p := stocked(t)
	before := sim.calls(t)
	vms := takeInventory(t, p)
	calls := sim.calls(t) - before
	// Nodes and images are one call each, networks one and one for each node.
	if want := uint64(1 + 1 + 1 + inventoryNodes + inventoryVMs/inventoryPage); vms != inventoryVMs || calls != want {
		t.Errorf("%d VMs in %d calls, want %d in %d", vms, calls, inventoryVMs, want)
	}
	t.Logf("%d VMs on %d nodes: %d calls", vms, inventoryNodes, calls)
}

// BenchmarkInventory takes the inventory of 1,000 VMs on 10 nodes, beside as many
// calls for the version alone.
func BenchmarkInventory(b *testing.B) {
	sim, p := stocked(b)
	before := sim.calls(b)
	takeInventory(b, p)
	calls := sim.calls(b) - before
	var ours, bare time.Duration
	for b.Loop() {
		began := time.Now()
		takeInventory(b, p)
		ours += time.Since(began)
		began = time.Now()
		for range calls {
			if err := p.get(b.Context(), "Benchmark", "/version", nil, nil); err != nil {
				b.Fatal(err)
			}
		}
		bare += time.Since(began)
	}
	b.ReportMetric(float64(ours.Microseconds())/1000/float64(b.N), "inventory-ms")
	b.ReportMetric(float64(bare.Microseconds())/1000/float64(b.N), "bare-ms")
	b.ReportMetric(float64(ours)/float64(bare), "ratio")
	b.ReportMetric(0, "ns/op")
}

// stocked starts a cluster, and waits until the VMs in it are made.
func stocked(t testing.TB) (peer, *Provider) {
	t.Helper()
	sim := newPeer(t, proxmoxsim.Options{Nodes: inventoryNodes})
	p := openWith(t, testConfig(sim.url, nil))
	ids := make(chan int)
	var makers sync.WaitGroup
	for range 8 {
		makers.Go(func() {
			for i := range ids {
				if err := stock(t, p, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range inventoryVMs {
		ids <- i
	}
	close(ids)
	makers.Wait()
	for deadline := time.Now().Add(time.Minute); ; { // the tasks that make them end
		vms := takeInventory(t, p)
		if vms == inventoryVMs {
			return sim, p
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d VMs are listed, want %d", vms, inventoryVMs)
		}
	}
}

// stock makes one VM of ours.
func stock(t testing.TB, p *Provider, i int) error {
	t.Helper()
	id := fmt.Sprintf("%08x-6f3f-4b43-8d2c-6f0f7b2c9d11", i)
	text, err := mark{VMID: id, Installation: testInstallation}.describe("")
	if err != nil {
		return err
	}
	path := apiPath("nodes", fmt.Sprintf("pve%d", i%inventoryNodes+1), "qemu")
	in := params{
		"vmid": p.cfg.vmidCandidates(id)[0], "name": fmt.Sprintf("vm-%d", i), "tags": p.cfg.tags("", id),
		"description": text, "smbios1": "uuid=" + id, "cores": 1, "memory": 512,
	}
	if err := p.post(t.Context(), "Test", path, in, nil); err != nil {
		return err
	}
	return nil
}

// takeInventory reads all that there is, and counts the VMs.
func takeInventory(t testing.TB, p *Provider) (vms int) {
	t.Helper()
	if _, err := p.ListNodes(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ListImages(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := p.ListNetworks(t.Context()); err != nil {
		t.Fatal(err)
	}
	for req := (providers.PageRequest{Limit: inventoryPage}); ; {
		page, err := p.ListVMs(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		vms += len(page.VMs)
		if page.Next == "" {
			return vms
		}
		req.Token = page.Next
	}
}
