package vsphere

import (
	"fmt"
	"testing"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

func reference(kind, value string) types.ManagedObjectReference {
	return types.ManagedObjectReference{Type: kind, Value: value}
}

// hostsIn makes a host in each of the clusters; one with "" stands alone.
func hostsIn(vmotion bool, clusters ...string) []mo.HostSystem {
	var out []mo.HostSystem
	for i, cluster := range clusters {
		var h mo.HostSystem
		h.Self = reference(typeHost, fmt.Sprintf("host-%d", i))
		parent := reference(typeCluster, cluster)
		if cluster == "" {
			parent = reference("ComputeResource", "domain-s1")
		}
		h.Parent = &parent
		h.Summary.Config.VmotionEnabled = vmotion
		out = append(out, h)
	}
	return out
}

// clustersOf are the clusters that hosts are in.
func clustersOf(hosts []mo.HostSystem) []mo.ClusterComputeResource {
	seen := map[types.ManagedObjectReference]bool{}
	var out []mo.ClusterComputeResource
	for _, h := range hosts {
		if h.Parent.Type != typeCluster || seen[*h.Parent] {
			continue
		}
		seen[*h.Parent] = true
		var c mo.ClusterComputeResource
		c.Self, c.Name = *h.Parent, h.Parent.Value
		out = append(out, c)
	}
	return out
}

func licence(edition string, features ...string) types.LicenseManagerLicenseInfo {
	out := types.LicenseManagerLicenseInfo{EditionKey: edition}
	for _, f := range features {
		out.Properties = append(out.Properties, types.KeyAnyValue{Key: "feature", Value: types.KeyValue{Key: f, Value: "A feature"}})
	}
	return out
}

// TestWhereVMsMove probes for two hosts that a VM can move between.
func TestWhereVMsMove(t *testing.T) {
	t.Parallel()
	vcenter := types.AboutInfo{ApiType: "VirtualCenter"}
	for name, c := range map[string]struct {
		about      types.AboutInfo
		hosts      []mo.HostSystem
		licensed   licences
		cold, live bool
	}{
		"two of a cluster":        {vcenter, hostsIn(true, "c1", "c1"), nil, true, true},
		"two that stand alone":    {vcenter, hostsIn(true, "", ""), nil, true, true},
		"one each of two":         {vcenter, hostsIn(true, "c1", "c2"), nil, true, false},
		"no network for vMotion":  {vcenter, hostsIn(false, "c1", "c1"), nil, true, false},
		"one host":                {vcenter, hostsIn(true, "c1"), nil, false, false},
		"an ESXi host":            {types.AboutInfo{ApiType: "HostAgent"}, hostsIn(true, ""), nil, false, false},
		"no licence for vMotion":  {vcenter, hostsIn(true, "c1", "c1"), licences{"host-1": licence("esxEssentials", "das")}, true, false},
		"a licence for vMotion":   {vcenter, hostsIn(true, "c1", "c1"), licences{"host-1": licence("esxEnterprise", "das", "vmotion")}, true, true},
		"an evaluation":           {vcenter, hostsIn(true, "c1", "c1"), licences{"host-1": licence(evaluation, "dvs")}, true, true},
		"a licence of no details": {vcenter, hostsIn(true, "c1", "c1"), licences{"host-1": licence("esxFull")}, true, true},
	} {
		got := probe(c.about, groupsOf(c.about, c.hosts, clustersOf(c.hosts), c.licensed))
		if got.cold != c.cold || got.live != c.live {
			t.Errorf("%s: cold %v, live %v; want %v, %v", name, got.cold, got.live, c.cold, c.live)
		}
	}
}

// TestClustersOfOneName are told apart.
func TestClustersOfOneName(t *testing.T) {
	t.Parallel()
	var clusters []mo.ClusterComputeResource
	for i, name := range []string{"a", "a", "b"} {
		var c mo.ClusterComputeResource
		c.Self, c.Name = reference(typeCluster, fmt.Sprintf("domain-c%d", i)), name
		clusters = append(clusters, c)
	}
	names := clusterNames(clusters)
	for i, want := range []string{"a (domain-c0)", "a (domain-c1)", "b"} {
		if got := names[clusters[i].Self]; got != want {
			t.Errorf("cluster %d is %q, want %q", i, got, want)
		}
	}
}
