package proxmox

import "github.com/hypervisor-control-plane/hcp/providers"

// noVolume is the message of work that finds a volume absent. That is not
// NotFound, which would say that the VM is.
const noVolume = "the disk's volume is not there"

// partRows are about a VM's disks, drives and consoles.
func partRows() []errorRow {
	const disk, medium = "the VM has no such disk", "a medium is no disk"
	return []errorRow{
		{failed, "connect to '127.0.0.1:", providers.Unavailable, "the console is not there any more", "connect to '127.0.0.1:5900' failed: Connection refused"},
		{failed, "connection timed out", providers.DeadlineExceeded, "nobody connected to the console in time", "connection timed out"},
		{failed, "unable to find free port", providers.Throttled, "the node has too many consoles", "unable to find free port (5900-5999)"},
		{failed, "unable to find a serial interface", providers.Unimplemented, "the VM has no serial line", "unable to find a serial interface"},
		{failed, "no cloud-init drive", providers.FailedPrecondition, "the VM has no cloud-init drive", "no cloud-init drive"},
		{failed, "cloud-init drive is already attached", providers.FailedPrecondition, "the VM has a cloud-init drive already", "cloud-init drive is already attached at 'ide2'"},
		{failed, "it belongs to vm", providers.FailedPrecondition, "the disk is another VM's", "unable to use volume 'local-lvm:vm-102-disk-0' - it belongs to VM 102"},
		{failed, "in use by a snapshot", providers.FailedPrecondition, "a snapshot has the disk", "unable to remove 'local-lvm:vm-101-disk-1' - it is still in use by a snapshot"},
		{failed, "disk with snapshots", providers.FailedPrecondition, "a snapshot has the disk", "you can't move a disk with snapshots and delete the source"},
		{failed, "volume '", providers.FailedPrecondition, noVolume, "volume 'local-lvm:vm-101-disk-0' does not exist"},
		{failed, "rrd error: opening", providers.NotFound, "the VM has no statistics yet", "RRD error: opening '/var/lib/rrdcached/db/pve-vm-9.0/101': No such file or directory"},
		{failed, "disk '", providers.FailedPrecondition, disk, "disk 'scsi1' does not exist"},
		{failed, "invalid bootorder", providers.FailedPrecondition, disk, "invalid bootorder: device 'scsi1' does not exist'"},
		{failed, "a cdrom", providers.InvalidArgument, medium, "you can't resize a cdrom"},
		{failed, "unable to parse size", providers.InvalidArgument, "the size is none", "unable to parse size 'many'"},
		{failed, "same storage with same format", providers.InvalidArgument, "the disk is there already", "you can't move to the same storage with same format"},
	}
}

// templateRows are about templates, clones, snapshots and moves that cannot be.
func templateRows() []errorRow {
	const template = "a template cannot do this"
	return []errorRow{
		{failed, "it's a template", providers.FailedPrecondition, template, "you can't start a vm if it's a template"},
		{failed, "vm is a template", providers.FailedPrecondition, template, "you can't rollback if vm is a template"},
		{failed, "a template to a template", providers.FailedPrecondition, template, "you can't convert a template to a template"},
		{failed, "unable to create template", providers.FailedPrecondition, "the VM has snapshots", "unable to create template, because VM contains snapshots"},
		{failed, "not most recent snapshot", providers.FailedPrecondition, "there is a later snapshot", "can't rollback, 'hcp1' is not most recent snapshot on 'zfs:vm-101-disk-0'"},
		{failed, "can't connect to destination", providers.Unavailable, "the node is not available", "Can't connect to destination address using public key"},
		{failed, "can't migrate", providers.FailedPrecondition, "the VM's disks cannot be moved to another node", "can't migrate 'local-lvm:vm-101-disk-0' as it's a clone of 'base-9000-disk-0'"},
	}
}
