package vspheresim

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// adminPower is a VM's power as all simulated hypervisors call it.
func adminPower(vm *simulator.VirtualMachine) string {
	switch vm.Runtime.PowerState {
	case types.VirtualMachinePowerStatePoweredOn:
		return simadmin.PowerRunning
	case types.VirtualMachinePowerStateSuspended:
		return simadmin.PowerSuspended
	case types.VirtualMachinePowerStatePoweredOff:
	}
	return simadmin.PowerStopped
}

// memo is what the control plane remembers of its work on a VM.
type memo struct {
	Disks map[string]struct { // by the disk's ID
		SizeGiB    int    `json:"gib"`
		Controller int32  `json:"controller"`
		Unit       int32  `json:"unit"`
		File       string `json:"file"` // of one that is kept
	} `json:"disks"`
	Rebuild struct {
		Token   string `json:"token"`
		Old     string `json:"old"` // the file that was set aside
		Swapped bool   `json:"swapped"`
	} `json:"rebuild"`
}

// adminView shows a VM as the admin side of every simulated hypervisor does. Its lock
// is held.
func (s *Server) adminView(vm *simulator.VirtualMachine) simadmin.VM {
	text := textOf(vm.Config.ExtraConfig)
	out := simadmin.VM{
		NativeID: vm.Self.Value, Name: vm.Name, Power: adminPower(vm), VCPUs: int(vm.Config.Hardware.NumCPU),
		MemoryMiB: int(vm.Config.Hardware.MemoryMB), Disks: []string{}, DataDisks: []simadmin.Disk{}, Snapshots: []simadmin.Snapshot{},
		UUID: vm.Config.InstanceUuid, Addresses: []string{}, NICs: []simadmin.NIC{}, Boots: s.guests.bootsOf(vm.Self.Value),
	}
	if vm.Config.CreateDate != nil {
		out.CreatedAt = *vm.Config.CreateDate
	}
	if text[keyVMID] != "" {
		out.Mark = &simadmin.Mark{VMID: text[keyVMID], InstallationID: text[keyInstallation]}
	}
	if vm.Runtime.Host != nil {
		out.Node = s.hostName(*vm.Runtime.Host)
	}
	if out.Power != simadmin.PowerStopped {
		out.Boot, out.UptimeSince = out.Boots, vm.Summary.Runtime.BootTime
	}
	var m memo
	_ = json.Unmarshal([]byte(text[keyNotes]), &m) // without notes there are none
	s.viewDisks(vm, m, &out)
	if vm.Snapshot != nil {
		viewSnapshots(vm.Snapshot.RootSnapshotList, &out)
	}
	s.viewGuest(vm, text, &out)
	return out
}

// viewDisks shows the disks: the one that it boots from, and those that the notes know.
func (s *Server) viewDisks(vm *simulator.VirtualMachine, m memo, out *simadmin.VM) {
	if m.Rebuild.Swapped {
		out.AsideToken, out.AsideData = m.Rebuild.Token, s.guests.written(m.Rebuild.Old)
	}
	known := map[int32]bool{}
	for id, note := range m.Disks {
		disk := simadmin.Disk{ID: id, Name: note.File, SizeGiB: note.SizeGiB}
		for _, d := range disksOf(vm) {
			if note.File == "" && d.ControllerKey == note.Controller && d.UnitNumber != nil && *d.UnitNumber == note.Unit {
				known[d.Key] = true
				disk.Name, disk.SizeGiB, disk.Attached = fileOf(d), sizeOf(d), true
			}
		}
		if disk.Data = s.guests.written(disk.Name); disk.Name != "" {
			out.DataDisks = append(out.DataDisks, disk)
		}
	}
	slices.SortFunc(out.DataDisks, func(a, b simadmin.Disk) int { return cmp.Compare(a.ID, b.ID) })
	for _, d := range disksOf(vm) {
		switch {
		case known[d.Key]:
		case len(out.Disks) == 0:
			out.Disks, out.DiskGiB, out.RootData = []string{fileOf(d)}, sizeOf(d), s.guests.written(fileOf(d))
		default:
			out.DataDisks = append(out.DataDisks, simadmin.Disk{ID: fileOf(d), Name: fileOf(d), SizeGiB: sizeOf(d), Attached: true, Data: s.guests.written(fileOf(d))})
		}
	}
}

// disksOf are a VM's disks in the order of their places.
func disksOf(vm *simulator.VirtualMachine) []*types.VirtualDisk {
	var out []*types.VirtualDisk
	for _, d := range vm.Config.Hardware.Device {
		if disk, ok := d.(*types.VirtualDisk); ok {
			out = append(out, disk)
		}
	}
	unit := func(d *types.VirtualDisk) int32 {
		if d.UnitNumber == nil {
			return -1
		}
		return *d.UnitNumber
	}
	slices.SortStableFunc(out, func(a, b *types.VirtualDisk) int {
		return cmp.Or(cmp.Compare(a.ControllerKey, b.ControllerKey), cmp.Compare(unit(a), unit(b)))
	})
	return out
}

func sizeOf(d *types.VirtualDisk) int { return int((d.CapacityInBytes + 1<<30 - 1) >> 30) }

func fileOf(d *types.VirtualDisk) string {
	if b, ok := d.Backing.(types.BaseVirtualDeviceFileBackingInfo); ok {
		return b.GetVirtualDeviceFileBackingInfo().FileName
	}
	return ""
}

// viewSnapshots shows the snapshots of a tree, parents first. Those of the control
// plane have their ID in the name.
func viewSnapshots(tree []types.VirtualMachineSnapshotTree, out *simadmin.VM) {
	for _, node := range tree {
		id, ours := strings.CutPrefix(node.Name, "hcp-")
		view := simadmin.Snapshot{
			NativeName: node.Name, Name: node.Name, CreatedAt: node.CreateTime,
			Memory: node.State == types.VirtualMachinePowerStatePoweredOn,
		}
		if ours {
			view.ID, view.Name = id, node.Description
		}
		out.Snapshots = append(out.Snapshots, view)
		viewSnapshots(node.ChildSnapshotList, out)
	}
}

// told is what cloud-init's VMware source reads in the guest.
type told struct {
	Hostname string `json:"local-hostname"`
	Keys     string `json:"public-keys-data"` // one a line
	Network  struct {
		Ethernets map[string]struct {
			Match struct {
				MAC string `json:"macaddress"`
			} `json:"match"`
			Addresses []string `json:"addresses"`
			Routes    []struct {
				Via string `json:"via"`
			} `json:"routes"`
			Nameservers struct {
				Addresses []string `json:"addresses"`
			} `json:"nameservers"`
		} `json:"ethernets"`
	} `json:"network"`
}

// viewGuest shows the interfaces, and what the guest's first boot is told.
func (s *Server) viewGuest(vm *simulator.VirtualMachine, text map[string]string, out *simadmin.VM) {
	var meta told
	raw := unpacked(text[keyMetadata])
	if json.Unmarshal(raw, &meta) == nil {
		out.CloudInit = &simadmin.CloudInit{Hostname: meta.Hostname, SSHKeys: strings.Count(meta.Keys, "\n")}
		if user := unpacked(text[keyUserdata]); len(user) > 0 {
			sum := sha256.Sum256(user)
			out.CloudInit.UserDataSHA256 = hex.EncodeToString(sum[:])
		}
	}
	for _, d := range vm.Config.Hardware.Device {
		card, ok := d.(types.BaseVirtualEthernetCard)
		if !ok {
			continue
		}
		nic := simadmin.NIC{MAC: strings.ToLower(card.GetVirtualEthernetCard().MacAddress), Network: s.networkOf(card)}
		for _, e := range meta.Network.Ethernets {
			if !strings.EqualFold(e.Match.MAC, nic.MAC) || len(e.Addresses) == 0 {
				continue
			}
			ip, length, _ := strings.Cut(e.Addresses[0], "/")
			nic.IP, nic.DNSServers = ip, e.Nameservers.Addresses
			_ = json.Unmarshal([]byte(length), &nic.PrefixLength) // digits are a number
			if len(e.Routes) > 0 {
				nic.Gateway = e.Routes[0].Via
			}
		}
		out.NICs = append(out.NICs, nic)
	}
}

// networkOf is the name of the network that an interface is attached to.
func (s *Server) networkOf(card types.BaseVirtualEthernetCard) string {
	switch b := card.GetVirtualEthernetCard().Backing.(type) {
	case *types.VirtualEthernetCardNetworkBackingInfo:
		return b.DeviceName
	case *types.VirtualEthernetCardDistributedVirtualPortBackingInfo:
		for _, e := range s.Model.Map().All("DistributedVirtualPortgroup") {
			if e.Reference().Value == b.Port.PortgroupKey {
				return e.Entity().Name
			}
		}
	}
	return ""
}

// unpacked reads a value of the guest's information; nil where it is none.
func unpacked(value string) []byte {
	raw, err := base64.StdEncoding.DecodeString(value)
	if err != nil {
		return nil
	}
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return nil
	}
	out, err := io.ReadAll(io.LimitReader(r, maxBody))
	if err != nil {
		return nil
	}
	return out
}
