package providertest

import (
	"cmp"
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func testInfo(c *contract) {
	info, err := c.p.Info(c.t.Context())
	c.noError("Info", err)
	if info.Kind == "" || info.Version == "" {
		c.t.Errorf("Info = %+v, want a kind and a version", info)
	}
	got, want := slices.Sorted(slices.Values(info.Capabilities)), slices.Sorted(slices.Values(c.h.Capabilities))
	if !slices.Equal(got, want) {
		c.t.Errorf("capabilities = %v, want %v", got, want)
	}
}

func testNodes(c *contract) {
	nodes, err := c.p.ListNodes(c.t.Context())
	c.noError("ListNodes", err)
	if len(nodes) == 0 {
		c.t.Fatal("the hypervisor has no nodes")
	}
	seen := map[[2]string]bool{}
	for _, n := range nodes {
		if n.Name == "" || n.Cluster == "" || n.VCPUs < 1 || n.MemoryMiB < 1 {
			c.t.Errorf("node %+v lacks a name, cluster or capacity", n)
		}
		if !slices.Contains([]models.NodeState{models.NodeUp, models.NodeDown, models.NodeMaintenance}, n.State) {
			c.t.Errorf("node %q has the state %q, which does not exist", n.Name, n.State)
		}
		key := [2]string{n.Cluster, n.Name}
		if seen[key] {
			c.t.Errorf("node %q is listed twice", n.Name)
		}
		seen[key] = true
	}
	req := c.h.Request(c.t)
	if req.Node != "" && !slices.ContainsFunc(nodes, func(n providers.Node) bool { return n.Name == req.Node }) {
		c.t.Errorf("the node %q of Harness.Request is not listed", req.Node)
	}
}

func testImagesAndNetworks(c *contract) {
	req := c.h.Request(c.t)
	images, err := c.p.ListImages(c.t.Context())
	c.noError("ListImages", err)
	i := slices.IndexFunc(images, func(i providers.Image) bool { return i.Ref == req.Image.Ref })
	if i < 0 {
		c.t.Fatalf("the image %q of Harness.Request is not in %v", req.Image.Ref, images)
	}
	if size := images[i].SizeGiB; size < 1 || size > req.DiskGiB {
		c.t.Errorf("image size = %d GiB, want 1 to %d (the disk of Harness.Request)", size, req.DiskGiB)
	}
	networks, err := c.p.ListNetworks(c.t.Context())
	c.noError("ListNetworks", err)
	for _, nic := range req.NICs {
		if nic.Network.Type == models.NetworkUser {
			continue
		}
		want := cmp.Or(nic.Network.Type, models.NetworkNetwork)
		if !slices.ContainsFunc(networks, func(n providers.Network) bool { return n.Ref == nic.Network.Ref && n.Type == want }) {
			c.t.Errorf("the network %q (%s) of Harness.Request is not in %v", nic.Network.Ref, want, networks)
		}
	}
}

func testListPages(c *contract) {
	count := 5
	if c.h.Slow {
		count = 3
	}
	ids := map[string]bool{}
	for range count {
		ids[c.create(c.request()).VMID] = true
	}
	for limit := 1; limit <= count; limit++ {
		first := c.listAll(limit, ids)
		if len(first) != count {
			c.t.Fatalf("limit %d: %d of our %d VMs are listed", limit, len(first), count)
		}
		if again := c.listAll(limit, ids); !slices.Equal(first, again) {
			c.t.Fatalf("limit %d: the order changed from %v to %v", limit, first, again)
		}
	}
	if all := c.listAll(0, ids); len(all) != count {
		c.t.Fatalf("default limit: %d of our %d VMs are listed", len(all), count)
	}
}

// listAll reads every page and returns the VM IDs of the case in the order of
// the list. VMs of other cases may be there too.
func (c *contract) listAll(limit int, of map[string]bool) []string {
	c.t.Helper()
	var out []string
	seen := map[string]bool{}
	req := providers.PageRequest{Limit: limit}
	for {
		page, err := c.p.ListVMs(c.t.Context(), req)
		c.noError("ListVMs", err)
		if limit > 0 && len(page.VMs) > limit {
			c.t.Fatalf("a page of %d VMs, the limit is %d", len(page.VMs), limit)
		}
		for _, vm := range page.VMs {
			if vm.VMID == "" || vm.Ref == "" || seen[vm.VMID] {
				c.t.Fatalf("%+v is listed without its IDs, or twice", vm)
			}
			seen[vm.VMID] = true
			if of[vm.VMID] {
				out = append(out, vm.VMID)
			}
		}
		if page.Next == "" {
			return out
		}
		if page.Next == req.Token {
			c.t.Fatal("the page's Next is its own token")
		}
		req.Token = page.Next
	}
}

func testListBadToken(c *contract) {
	for _, token := range []string{"nonsense", "0", "-1", "../..", "\x00", "eyJhZnRlciI6MX0"} {
		_, err := c.p.ListVMs(c.t.Context(), providers.PageRequest{Token: token, Limit: 1})
		c.wantCode("ListVMs with a token of somebody else", err, providers.InvalidArgument)
	}
	_, err := c.p.ListVMs(c.t.Context(), providers.PageRequest{Limit: -1})
	c.wantCode("ListVMs with a negative limit", err, providers.InvalidArgument)
}

func testPollUnknown(c *contract) {
	for _, task := range []providers.TaskRef{"nonsense", "0", "stop:", "a/b:c d\n"} {
		_, err := c.p.PollTask(c.t.Context(), task)
		c.wantCode("PollTask of nonsense", err, providers.NotFound)
	}
}
