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
func (p peer) calls(t *testing.T) uint64 {
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

// An inventory of 1,000 VMs on 10 nodes of the simulated cluster: nodes, images and
// networks cost a constant number of calls, and the VMs one for each page.
func TestAnInventoryOfTheSimulatedCluster(t *testing.T) {
	const count, nodes, limit = 1000, 10, 200
	sim := newPeer(t, proxmoxsim.Options{Nodes: nodes})
	p := openWith(t, testConfig(sim.url, nil))
	ids := make(chan int)
	var makers sync.WaitGroup
	for range 8 {
		makers.Go(func() {
			for i := range ids {
				id := fmt.Sprintf("%08x-6f3f-4b43-8d2c-6f0f7b2c9d11", i)
				text, err := mark{VMID: id, Installation: testInstallation}.describe("")
				if err != nil {
					t.Error(err)
					continue
				}
				path := apiPath("nodes", fmt.Sprintf("pve%d", i%nodes+1), "qemu")
				in := params{
					"vmid": p.cfg.vmidCandidates(id)[0], "name": fmt.Sprintf("vm-%d", i), "tags": p.cfg.tags("", id),
					"description": text, "smbios1": "uuid=" + id, "cores": 1, "memory": 512,
				}
				if err := p.post(t.Context(), "Test", path, in, nil); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range count {
		ids <- i
	}
	close(ids)
	makers.Wait()

	inventory := func() (vms int, calls uint64) {
		before := sim.calls(t)
		if _, err := p.ListNodes(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.ListImages(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := p.ListNetworks(t.Context()); err != nil {
			t.Fatal(err)
		}
		for req := (providers.PageRequest{Limit: limit}); ; {
			page, err := p.ListVMs(t.Context(), req)
			if err != nil {
				t.Fatal(err)
			}
			vms += len(page.VMs)
			if page.Next == "" {
				return vms, sim.calls(t) - before
			}
			req.Token = page.Next
		}
	}
	var vms int
	var calls uint64
	var took time.Duration
	for deadline := time.Now().Add(30 * time.Second); vms < count; { // the tasks that make them end
		if time.Now().After(deadline) {
			t.Fatalf("%d VMs are listed, want %d", vms, count)
		}
		began := time.Now()
		vms, calls = inventory()
		took = time.Since(began)
	}
	// Nodes and images are one call each, networks one and one for each node.
	if want := uint64(1 + 1 + 1 + nodes + count/limit); vms != count || calls != want {
		t.Errorf("%d VMs in %d calls, want %d in %d", vms, calls, count, want)
	}
	if took > 5*time.Second {
		t.Errorf("it took %v, want at most 5 s", took)
	}
	t.Logf("%d VMs on %d nodes: %d calls in %v", vms, nodes, calls, took)
}
