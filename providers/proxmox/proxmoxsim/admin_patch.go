package proxmoxsim

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// PatchVM changes a guest behind the control plane's back.
func (s admin) PatchVM(_ context.Context, nativeID string, set simadmin.VMChange) (simadmin.VM, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old, err := s.adminFind(nativeID)
	if err != nil {
		return simadmin.VM{}, err
	}
	g := *old
	g.Config = old.Config.clone()
	simadmin.Assign(&g.Node, set.Node)
	if set.Name != nil {
		g.Config["name"] = *set.Name
	}
	if set.VCPUs != nil {
		g.Config["cores"], g.Config["sockets"] = strconv.Itoa(*set.VCPUs), "1"
	}
	if set.MemoryMiB != nil {
		g.Config["memory"] = strconv.Itoa(*set.MemoryMiB)
	}
	if set.Power != nil {
		if err := setPower(&g, *set.Power); err != nil {
			return simadmin.VM{}, err
		}
	}
	mark, changed, err := set.NewMark()
	if err == nil && changed {
		err = g.mark(mark)
	}
	if err != nil {
		return simadmin.VM{}, err
	}
	if err := s.plausible(&g); err != nil {
		return simadmin.VM{}, err
	}
	if err := s.reidentify(&g, set.NativeID); err != nil {
		return simadmin.VM{}, err
	}
	if err := s.patchContents(old, &g, set); err != nil {
		return simadmin.VM{}, err
	}
	s.relocate(old, &g)
	return s.adminView(&g), nil
}

// reidentify gives a guest another VMID, as a restore does.
func (s *Server) reidentify(g *guest, native *string) error {
	if native == nil {
		return nil
	}
	vmid, err := strconv.Atoi(*native)
	if err != nil || vmid < 100 {
		return simadmin.Invalid("native_id is a VMID, from 100")
	}
	if other := s.state.guests[vmid]; other != nil && vmid != g.VMID {
		return simadmin.Taken("this native ID is taken")
	}
	g.VMID = vmid
	return nil
}

// relocate puts a changed guest in the place of what it was. What is on local
// storage goes with it.
func (s *Server) relocate(old, g *guest) {
	for _, v := range s.state.volumes {
		if v.VMID != old.VMID {
			continue
		}
		s.state.dropVolume(v)
		v.VMID = g.VMID
		if v.Node != "" {
			v.Node = g.Node
		}
		s.state.putVolume(v)
	}
	delete(s.state.guests, old.VMID)
	*old = *g
	s.state.guests[g.VMID] = old
}

// patchContents changes what is on a guest's disks, and takes a snapshot of it.
// The volumes are where they were, old; g is what becomes of it.
func (s *Server) patchContents(old, g *guest, set simadmin.VMChange) error {
	if set.RootData != nil {
		v := s.state.rootVolume(old)
		if v == nil || len(*set.RootData) > simadmin.MaxData {
			return simadmin.Invalid("there is no root disk, or root_data is too long")
		}
		v.Data = *set.RootData
	}
	for id, text := range set.DiskData {
		v := s.dataVolume(old, id)
		if v == nil || len(text) > simadmin.MaxData {
			return simadmin.Invalid("disk_data names a disk that is not there, or is too long")
		}
		v.Data = text
	}
	if set.Snapshot != nil {
		name := "foreign" + strconv.FormatUint(s.state.number(), 10)
		g.Snapshots = append(slices.Clone(g.Snapshots), &snapshot{
			Name: name, Description: *set.Snapshot, Parent: g.Current, Taken: time.Now(), Config: g.Config.clone(),
		})
		g.Current = name
		for _, v := range s.state.volumes {
			if v.VMID == old.VMID {
				v.Saved[name] = v.Data
			}
		}
	}
	return nil
}

// dataVolume finds a data disk by the name that the admin side shows.
func (s *Server) dataVolume(g *guest, id string) *volume {
	m := markOf(g.Config["description"])
	for key, value := range g.Config {
		if (isDisk(key) || isIndexed(key, "unused")) && diskName(m, key, value) == id {
			volid, _, _ := strings.Cut(value, ",")
			return s.state.volume(g.Node, volid)
		}
	}
	return nil
}
