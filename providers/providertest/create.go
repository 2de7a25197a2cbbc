package providertest

import (
	"slices"
	"sync"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func testCreate(c *contract) {
	req := c.request()
	ref, task, err := c.p.CreateVM(c.t.Context(), req)
	c.noError("CreateVM", err)
	if ref == "" {
		c.t.Error("CreateVM returned no VMRef")
	}
	c.settle("CreateVM", task)
	c.wantAsAsked(c.find(req.VMID), req)

	if got := c.listAll(0, map[string]bool{req.VMID: true}); !slices.Equal(got, []string{req.VMID}) {
		c.t.Errorf("the new VM is listed as %v", got)
	}
	left, err := c.p.Leftovers(c.t.Context(), req.VMID)
	c.noError("Leftovers", err)
	if len(left) < 2 {
		c.t.Errorf("Leftovers of a VM that exists = %v, want the VM and its disk at least", left)
	}
	for _, o := range left {
		if o.Type == "" || o.Ref == "" {
			c.t.Errorf("%+v lacks its type or ref", o)
		}
	}
}

// wantAsAsked checks a freshly made VM against its request.
func (c *contract) wantAsAsked(vm providers.VM, req providers.CreateVMRequest) {
	c.t.Helper()
	if vm.Incomplete {
		c.t.Error("the VM is incomplete")
	}
	if vm.Power != models.PowerStopped {
		c.t.Errorf("power = %s, want %s", vm.Power, models.PowerStopped)
	}
	if vm.VCPUs != req.VCPUs || vm.MemoryMiB != req.MemoryMiB || vm.DiskGiB != req.DiskGiB {
		c.t.Errorf("size = %d vCPUs, %d MiB, %d GiB; want %d, %d, %d",
			vm.VCPUs, vm.MemoryMiB, vm.DiskGiB, req.VCPUs, req.MemoryMiB, req.DiskGiB)
	}
	if vm.Name != req.Name {
		c.t.Errorf("name = %q, want %q", vm.Name, req.Name)
	}
	if req.Node != "" && vm.Node != req.Node {
		c.t.Errorf("node = %q, want %q", vm.Node, req.Node)
	}
}

func testCreateTwice(c *contract) {
	req := c.request()
	ref, task, err := c.p.CreateVM(c.t.Context(), req)
	c.noError("CreateVM", err)
	other, otherTask, err := c.open().CreateVM(c.t.Context(), req)
	c.noError("CreateVM from a second process", err)
	if other != ref {
		c.t.Fatalf("the second CreateVM returned %q, the first %q", other, ref)
	}
	c.settle("CreateVM", task)
	c.settle("the second CreateVM", otherTask)
	c.wantOne(req)

	again, task, err := c.p.CreateVM(c.t.Context(), req)
	c.noError("CreateVM of a complete VM", err)
	if again != ref {
		c.t.Errorf("CreateVM of a complete VM returned %q, want %q", again, ref)
	}
	c.settle("CreateVM of a complete VM", task)
	c.wantOne(req)
}

// wantOne checks that there is one VM for req, as asked for.
func (c *contract) wantOne(req providers.CreateVMRequest) {
	c.t.Helper()
	c.wantAsAsked(c.find(req.VMID), req)
	if got := c.listAll(0, map[string]bool{req.VMID: true}); len(got) != 1 {
		c.t.Fatalf("%d VMs bear the mark of %s, want one", len(got), req.VMID)
	}
}

func testCreateConcurrently(c *contract) {
	req := c.request()
	adapters := []providers.Provider{c.p, c.open()}
	errs := make([]error, len(adapters))
	var wg sync.WaitGroup
	for i, p := range adapters {
		wg.Go(func() { _, _, errs[i] = p.CreateVM(c.t.Context(), req) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			c.wellFormed("CreateVM at once", err)
			if !providers.CodeOf(err).Retryable() {
				c.t.Fatalf("CreateVM at once with another: %v: want success, or a code to retry", err)
			}
		}
	}
	c.within("the VM is complete", func() bool {
		_, task, err := c.p.CreateVM(c.t.Context(), req)
		if err != nil {
			c.wellFormed("CreateVM", err)
			return false
		}
		return c.wait(c.t.Context(), c.p, task) == nil && !c.find(req.VMID).Incomplete
	})
	c.wantOne(req)
}

func testCreateInvalid(c *contract) {
	for _, bad := range []struct {
		name  string
		spoil func(r *providers.CreateVMRequest)
		codes []providers.Code
	}{
		{"no VM ID", func(r *providers.CreateVMRequest) { r.VMID = "" }, nil},
		{"no image", func(r *providers.CreateVMRequest) { r.Image.Ref = "" }, nil},
		{"no vCPUs", func(r *providers.CreateVMRequest) { r.VCPUs = 0 }, nil},
		{"negative vCPUs", func(r *providers.CreateVMRequest) { r.VCPUs = -1 }, nil},
		{"no memory", func(r *providers.CreateVMRequest) { r.MemoryMiB = 0 }, nil},
		{"no disk", func(r *providers.CreateVMRequest) { r.DiskGiB = 0 }, nil},
		{
			"an image that is not there", func(r *providers.CreateVMRequest) { r.Image.Ref += "-not-there" },
			[]providers.Code{providers.InvalidArgument, providers.NotFound},
		},
		{"a network that is not there", func(r *providers.CreateVMRequest) {
			r.NICs = []providers.NIC{{Network: models.NetworkBinding{Ref: "not-there"}, MAC: "52:54:00:00:00:01"}}
		}, []providers.Code{providers.InvalidArgument, providers.NotFound}},
		{"no MAC", func(r *providers.CreateVMRequest) {
			r.NICs = []providers.NIC{{Network: models.NetworkBinding{Ref: "any"}, MAC: "not a mac"}}
		}, []providers.Code{providers.InvalidArgument, providers.NotFound}},
	} {
		req := c.request()
		id := req.VMID
		bad.spoil(&req)
		codes := bad.codes
		if codes == nil {
			codes = []providers.Code{providers.InvalidArgument}
		}
		_, _, err := c.p.CreateVM(c.t.Context(), req)
		c.wantCode("CreateVM with "+bad.name, err, codes...)
		c.wantGone(id)
	}
}

// testHostileNames shows that what a tenant writes stays data: it is carried
// literally, or refused, and never becomes structure.
func testHostileNames(c *contract) {
	names := []string{
		`"quoted" 'twice'`, `</name><uuid>x</uuid><name>`, `a&amp;b;c&#10;`, `$(reboot);|>x`,
		`../../etc/passwd`, `a,format=raw,file=/etc/shadow`, "line one\nline two", "ümlaut 漢字 😀", "%s%n\\u0000",
	}
	if c.h.Slow {
		names = []string{`"q" 'q' </name><uuid>x</uuid> &amp; ;,format=raw $(x) ../ %s 漢`, "line one\nline two"}
	}
	for _, name := range names {
		req := c.request()
		req.Name = name
		req.CloudInit.UserData = []byte("#cloud-config\n# " + name + "\n")
		_, task, err := c.p.CreateVM(c.t.Context(), req)
		if err != nil {
			c.wantCode("CreateVM with a hostile name", err, providers.InvalidArgument)
			c.wantGone(req.VMID)
			continue
		}
		c.settle("CreateVM", task)
		c.wantAsAsked(c.find(req.VMID), req)
	}
}
