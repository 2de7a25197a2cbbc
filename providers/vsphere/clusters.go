package vsphere

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"
)

// group is a cluster, or the hosts that are in none, with what was probed of it.
type group struct {
	name    string
	drs     types.DrsBehavior // "" where DRS is off, or there is none
	hosts   int
	manager bool // under a vCenter
	// Of the hosts: with a network for vMotion, with a licence for it, with both.
	networked, licensed, moving int
	// gpus counts the hosts' graphics devices by name, and profiles are the names of
	// the vGPUs that they can be split into.
	gpus     map[string]int
	profiles []string
}

// groupsOf probes each cluster, by name. Hosts that are in none come as one group.
func groupsOf(about types.AboutInfo, hosts []mo.HostSystem, clusters []mo.ClusterComputeResource, licensed licences) []group {
	names := clusterNames(clusters)
	found := map[types.ManagedObjectReference]*group{}
	for _, c := range clusters {
		found[c.Self] = &group{name: names[c.Self], drs: drsOf(c), manager: isManager(about), gpus: map[string]int{}}
	}
	alone := types.ManagedObjectReference{}
	for _, h := range hosts {
		at := alone
		if h.Parent != nil && found[*h.Parent] != nil {
			at = *h.Parent
		}
		if found[at] == nil {
			found[at] = &group{name: noCluster, manager: isManager(about), gpus: map[string]int{}}
		}
		found[at].add(h, licensed)
	}
	out := make([]group, 0, len(found))
	for _, g := range found {
		out = append(out, *g)
	}
	slices.SortFunc(out, func(a, b group) int { return cmp.Compare(a.name, b.name) })
	return out
}

func (g *group) add(h mo.HostSystem, licensed licences) {
	network := h.Summary.Config.VmotionEnabled
	licence := !licensed.lacks(h.Self, types.LicenseManagerLicenseKeyVmotion)
	g.hosts++
	g.networked += one(network)
	g.licensed += one(licence)
	g.moving += one(network && licence)
	if h.Config == nil {
		return
	}
	for _, d := range h.Config.GraphicsInfo {
		g.gpus[strings.TrimSpace(d.VendorName+" "+d.DeviceName)]++
	}
	for _, profile := range h.Config.SharedPassthruGpuTypes {
		if !slices.Contains(g.profiles, profile) {
			g.profiles = append(g.profiles, profile)
		}
	}
	slices.Sort(g.profiles)
}

func one(yes bool) int {
	if yes {
		return 1
	}
	return 0
}

// drsOf is what DRS does by itself in a cluster, "" where it is off. A cluster that
// does not say so has it fully automated, which is what the API reference calls the
// default.
func drsOf(c mo.ClusterComputeResource) types.DrsBehavior {
	config, ok := c.ConfigurationEx.(*types.ClusterConfigInfoEx)
	if !ok || !isTrue(config.DrsConfig.Enabled) {
		return ""
	}
	return cmp.Or(config.DrsConfig.DefaultVmBehavior, types.DrsBehaviorFullyAutomated)
}

// placed reports whether DRS chooses the host of a new VM.
func placed(drs types.DrsBehavior) bool {
	return drs == types.DrsBehaviorPartiallyAutomated || drs == types.DrsBehaviorFullyAutomated
}

// live says why a VM that runs cannot be moved within the group, "" where it can.
func (g group) live() string {
	switch {
	case g.manager && g.moving > 1:
		return ""
	case !g.manager:
		return "there is no vCenter"
	case g.hosts < 2:
		return "there is one host"
	case g.networked < 2:
		return "no two hosts have a network for vMotion"
	case g.licensed < 2:
		return "no two hosts have a licence for vMotion"
	}
	return "no two hosts have both a network and a licence for vMotion"
}

// remark is what an operator is told of a group.
func (g group) remark() string {
	parts := []string{"live migration"}
	if why := g.live(); why != "" {
		parts[0] = "no live migration: " + why
	}
	switch {
	case !g.manager || g.name == noCluster:
	case g.drs == "":
		parts = append(parts, "DRS is off")
	default:
		parts = append(parts, "DRS "+string(g.drs))
	}
	var gpus []string
	for _, name := range slices.Sorted(maps.Keys(g.gpus)) {
		gpus = append(gpus, fmt.Sprintf("%d %s", g.gpus[name], name))
	}
	if len(gpus) > 0 {
		parts = append(parts, "graphics devices: "+strings.Join(gpus, ", "))
	}
	if len(g.profiles) > 0 {
		parts = append(parts, "vGPU profiles: "+strings.Join(g.profiles, ", "))
	}
	return g.name + ": " + strings.Join(parts, "; ")
}
