package proxmox

import "maps"

// notes are what a VM's mark remembers beside whose it is. They stand in the
// description, which a return to a snapshot leaves as it is.
type notes struct {
	Revert  revertNote          `json:"revert,omitzero"`
	Rebuild rebuildNote         `json:"rebuild,omitzero"`
	Disks   map[string]diskNote `json:"disks,omitempty"` // by the disk's ID
}

// revertNote is the last return to a snapshot.
type revertNote struct {
	Token string `json:"token"`
	// Before is the newest task of this kind from before it that Node had in its
	// list, which tells whether it was begun.
	Before string `json:"before,omitempty"`
	Node   string `json:"node,omitempty"`
}

// rebuildNote is a rebuild that is not finished, with what it set aside. The very
// write that changes the VM's root disk makes and removes it.
type rebuildNote struct {
	Token string `json:"token"`
	Key   string `json:"key"`  // of the root disk
	Root  string `json:"root"` // the value that the key had
	// Config are the cloud-init keys as they were.
	Config map[string]string `json:"config,omitempty"`
	// Size is what the new disk is to have, in GiB.
	Size int `json:"size"`
	// Reverted is the volume that a return leaves behind, to be removed.
	Reverted string `json:"reverted,omitempty"`
}

// diskNote is a data disk. One that is attached bears its ID in its serial
// number, and has no volume here.
type diskNote struct {
	SizeGiB int    `json:"gib"`
	Volume  string `json:"volume,omitempty"`
}

// withDisk returns the notes with a disk's note; the zero value removes it.
func (n notes) withDisk(id string, d diskNote) notes {
	n.Disks = maps.Clone(n.Disks)
	if n.Disks == nil {
		n.Disks = map[string]diskNote{}
	}
	n.Disks[id] = d
	if d == (diskNote{}) {
		delete(n.Disks, id)
	}
	if len(n.Disks) == 0 {
		n.Disks = nil
	}
	return n
}
