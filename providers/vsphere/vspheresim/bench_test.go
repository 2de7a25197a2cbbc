package vspheresim_test

import (
	"context"
	"fmt"
	"runtime"
	"runtime/metrics"
	"testing"
	"time"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/soap"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// benchPage is the length of a page of the inventory.
const benchPage = 200

// BenchmarkInventory takes the inventory of 2,000 VMs, with hosts, images and networks,
// beside as many bare pages of the property collector with the same properties of all
// VMs. The simulator runs in this process: time and memory are its too, on both sides.
func BenchmarkInventory(b *testing.B) {
	s := startFor(b, machines)
	adopt(s)
	p := open(b, s)
	c := bareClient(b, s)
	if n, m := takeInventory(b, p, noPeak), bareInventory(b, c, noPeak); n != machines || m != machines+1 {
		b.Fatalf("%d VMs, and %d with the template", n, m)
	}
	var ours, bare cost
	for b.Loop() {
		ours.add(b, s, func(see func()) { takeInventory(b, p, see) })
		bare.add(b, s, func(see func()) { bareInventory(b, c, see) })
	}
	ours.report(b, "", float64(b.N))
	bare.report(b, "bare-", float64(b.N))
	b.ReportMetric(float64(ours.took)/float64(bare.took), "ratio")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCreate makes a VM among 2,000 from a template that was used before, to where
// it can be started, beside a bare clone of the same template.
func BenchmarkCreate(b *testing.B) {
	s := startFor(b, machines)
	p := open(b, s)
	c := bareClient(b, s)
	createOne(b, p)
	cloneOne(b, c, "warm")
	var ours, bare cost
	for i := 0; b.Loop(); i++ {
		ours.add(b, s, func(func()) { createOne(b, p) })
		bare.add(b, s, func(func()) { cloneOne(b, c, fmt.Sprintf("bare-%d", i)) })
	}
	ours.report(b, "", float64(b.N))
	bare.report(b, "bare-", float64(b.N))
	b.ReportMetric(float64(ours.took)/float64(bare.took), "ratio")
	b.ReportMetric(0, "ns/op")
}

func startFor(b *testing.B, vms int) *vspheresim.Server {
	b.Helper()
	s, err := vspheresim.Start(vspheresim.Options{Machines: vms})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(s.Close)
	return s
}

// cost is what pieces of work have cost together.
type cost struct {
	took      time.Duration
	calls     int
	allocated uint64
	peak      uint64 // the most memory in use beyond what was before, in any of them
}

// add does one piece of work, which calls see where much may be in memory.
func (c *cost) add(b *testing.B, s *vspheresim.Server, work func(see func())) {
	b.Helper()
	s.Forget()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	began := time.Now()
	work(func() {
		if use := inUse(); use > before.HeapAlloc {
			c.peak = max(c.peak, use-before.HeapAlloc)
		}
	})
	c.took += time.Since(began)
	runtime.ReadMemStats(&after)
	c.allocated += after.TotalAlloc - before.TotalAlloc
	c.calls += len(s.Calls())
}

func (c *cost) report(b *testing.B, prefix string, n float64) {
	b.Helper()
	b.ReportMetric(c.took.Seconds()*1000/n, prefix+"ms")
	b.ReportMetric(float64(c.calls)/n, prefix+"calls")
	b.ReportMetric(float64(c.allocated)/n/(1<<20), prefix+"MiB")
	if c.peak > 0 {
		b.ReportMetric(float64(c.peak)/(1<<20), prefix+"peak-MiB")
	}
}

func noPeak() {}

// inUse is the memory of objects, those that wait to be collected too.
func inUse() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

func takeInventory(b *testing.B, p providers.Provider, see func()) (vms int) {
	b.Helper()
	ctx := b.Context()
	if _, err := p.ListNodes(ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := p.ListImages(ctx); err != nil {
		b.Fatal(err)
	}
	if _, err := p.ListNetworks(ctx); err != nil {
		b.Fatal(err)
	}
	for req := (providers.PageRequest{Limit: benchPage}); ; {
		page, err := p.ListVMs(ctx, req)
		if err != nil {
			b.Fatal(err)
		}
		see()
		vms += len(page.VMs)
		if page.Next == "" {
			return vms
		}
		req.Token = page.Next
	}
}

func bareClient(b *testing.B, s *vspheresim.Server) *govmomi.Client {
	b.Helper()
	u, err := soap.ParseURL(s.URL() + "/sdk")
	if err != nil {
		b.Fatal(err)
	}
	u.User = s.Service.Listen.User
	c, err := govmomi.NewClient(b.Context(), u, true)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := c.Logout(context.WithoutCancel(b.Context())); err != nil {
			b.Error(err)
		}
	})
	return c
}

// bareInventory reads all VMs as the library does.
func bareInventory(b *testing.B, c *govmomi.Client, see func()) (vms int) {
	b.Helper()
	ctx := b.Context()
	view, err := methods.CreateContainerView(ctx, c, &types.CreateContainerView{
		This: *c.ServiceContent.ViewManager, Container: c.ServiceContent.RootFolder, Type: []string{"VirtualMachine"}, Recursive: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	skip := true
	pc := property.DefaultCollector(c.Client).Reference()
	res, err := methods.RetrievePropertiesEx(ctx, c, &types.RetrievePropertiesEx{
		This: pc, Options: types.RetrieveOptions{MaxObjects: benchPage},
		SpecSet: []types.PropertyFilterSpec{{
			ObjectSet: []types.ObjectSpec{{
				Obj: view.Returnval, Skip: &skip, SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "ContainerView", Path: "view"}},
			}},
			PropSet: []types.PropertySpec{{Type: "VirtualMachine", PathSet: []string{"config", "runtime", "guest.net"}}},
		}},
	})
	if err != nil {
		b.Fatal(err)
	}
	for page := *res.Returnval; ; {
		see()
		vms += len(page.Objects)
		if page.Token == "" {
			return vms
		}
		next, err := methods.ContinueRetrievePropertiesEx(ctx, c, &types.ContinueRetrievePropertiesEx{This: pc, Token: page.Token})
		if err != nil {
			b.Fatal(err)
		}
		page = next.Returnval
	}
}

func createOne(b *testing.B, p providers.Provider) {
	b.Helper()
	id := models.NewID()
	_, task, err := p.CreateVM(b.Context(), providers.CreateVMRequest{
		VMID: id, Name: "bench", Node: "DC0_C0_H0", VCPUs: 1, MemoryMiB: 256, DiskGiB: vspheresim.TemplateGiB,
		Image: models.ImageBinding{Ref: vspheresim.Template},
		NICs:  []providers.NIC{{Network: models.NetworkBinding{Ref: vspheresim.Portgroup}, MAC: "02:50:56:" + id[28:30] + ":" + id[30:32] + ":" + id[32:34]}},
	})
	for err == nil && task != "" {
		var st providers.TaskStatus
		if st, err = p.PollTask(b.Context(), task); err == nil && st.Done {
			if err = st.Err; err == nil {
				return
			}
		}
	}
	if err != nil {
		b.Fatal(err)
	}
}

func cloneOne(b *testing.B, c *govmomi.Client, name string) {
	b.Helper()
	ctx := b.Context()
	ref, err := object.NewSearchIndex(c.Client).FindByInventoryPath(ctx, "/DC0/vm/"+vspheresim.Template)
	if err != nil || ref == nil {
		b.Fatal(ref, err)
	}
	folder, err := object.NewSearchIndex(c.Client).FindByInventoryPath(ctx, "/DC0/vm")
	if err != nil {
		b.Fatal(err)
	}
	pool, err := object.NewSearchIndex(c.Client).FindByInventoryPath(ctx, "/DC0/host/DC0_C0/Resources")
	if err != nil {
		b.Fatal(err)
	}
	at := pool.Reference()
	template, ok := ref.(*object.VirtualMachine)
	if !ok {
		b.Fatal(ref)
	}
	task, err := template.Clone(ctx, object.NewFolder(c.Client, folder.Reference()), name, types.VirtualMachineCloneSpec{
		Location: types.VirtualMachineRelocateSpec{Pool: &at},
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := task.Wait(ctx); err != nil {
		b.Fatal(err)
	}
}
