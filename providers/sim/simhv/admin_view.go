package simhv

import "github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"

func adminView(v *vmRecord) simadmin.VM {
	out := simadmin.VM{
		NativeID: v.NativeID, Name: v.Name, Mark: (*simadmin.Mark)(v.Mark), Power: v.Power, VCPUs: v.VCPUs, MemoryMiB: v.MemoryMiB,
		DiskGiB: v.DiskGiB, Node: v.Node, Disks: append([]string{}, v.Disks...), DataDisks: []simadmin.Disk{}, Snapshots: []simadmin.Snapshot{},
		CreatedAt: v.CreatedAt, UUID: v.UUID, Image: v.Image, Addresses: []string{}, NICs: make([]simadmin.NIC, len(v.NICs)),
		CloudInit: v.CloudInit, Boots: v.Boots, Boot: v.Boot, RootData: v.RootData, MovingTo: v.MovingTo,
	}
	if v.Boot > 0 {
		out.UptimeSince = &v.UptimeSince
	}
	if v.Aside != nil {
		out.AsideToken, out.AsideData = v.Aside.Token, v.Aside.RootData
	}
	for _, d := range v.DataDisks {
		out.DataDisks = append(out.DataDisks, simadmin.Disk(d))
	}
	for _, snapshot := range v.Snapshots {
		out.Snapshots = append(out.Snapshots, simadmin.Snapshot{
			ID: snapshot.ID, NativeName: snapshot.NativeName, Name: snapshot.Name, Memory: snapshot.Memory,
			Incomplete: snapshot.Incomplete, RootData: snapshot.Root.RootData, CreatedAt: snapshot.CreatedAt,
		})
	}
	for i, nic := range v.NICs {
		out.NICs[i] = simadmin.NIC(nic)
	}
	for _, nic := range v.addresses() {
		if nic.IP != "" {
			out.Addresses = append(out.Addresses, nic.IP)
		}
	}
	return out
}
