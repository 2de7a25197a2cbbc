package simhv

import "github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"

// What the admin side has, by the names that it had here.
type (
	Admin        = simadmin.Admin
	Call         = simadmin.Call
	Capabilities = simadmin.Capabilities
	CloudInit    = simadmin.CloudInit
	Disk         = simadmin.Disk
	Duration     = simadmin.Duration
	Fault        = simadmin.Fault
	FaultKind    = simadmin.FaultKind
	FaultMatch   = simadmin.FaultMatch
	FaultReport  = simadmin.FaultReport
	Latency      = simadmin.Latency
	Mark         = simadmin.Mark
	NIC          = simadmin.NIC
	NewVM        = simadmin.NewVM
	NodeChange   = simadmin.NodeChange
	Part         = simadmin.Part
	Screen       = simadmin.Screen
	Snapshot     = simadmin.Snapshot
	Stats        = simadmin.Stats
	VM           = simadmin.VM
	VMChange     = simadmin.VMChange
)

// Of faults and calls.
const (
	Always              = simadmin.Always
	AnyOp               = simadmin.AnyOp
	DefaultCallLog      = simadmin.DefaultCallLog
	FaultErrorBefore    = simadmin.FaultErrorBefore
	FaultErrorAfter     = simadmin.FaultErrorAfter
	FaultDropConnection = simadmin.FaultDropConnection
	FaultHang           = simadmin.FaultHang
	FaultSlowTask       = simadmin.FaultSlowTask
	FaultTaskFails      = simadmin.FaultTaskFails
	FaultForgetTask     = simadmin.FaultForgetTask
	FaultThrottle       = simadmin.FaultThrottle
	FaultLocked         = simadmin.FaultLocked
	FaultPartial        = simadmin.FaultPartial
	PartDisk            = simadmin.PartDisk
	PartMark            = simadmin.PartMark
)
