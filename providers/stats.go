package providers

import (
	"context"
	"time"
)

// Sample is what a VM used on average in the time that ended at At. A value that
// was not measured is nil.
type Sample struct {
	At        time.Time
	CPU       *float64 // the share of the VM's CPUs in use, 0 to 1
	Memory    *float64 // bytes in use
	DiskRead  *float64 // bytes per second
	DiskWrite *float64 // bytes per second
	NetIn     *float64 // bytes per second
	NetOut    *float64 // bytes per second
}

// StatsReader tells what a VM has used. It has no capability: no operation stands
// on it, and whoever wants statistics asks whether the adapter has them.
type StatsReader interface {
	// VMStats returns the samples of the last window, oldest first, as far apart
	// as the hypervisor keeps them for that long. A time in which nothing was
	// measured, as of a VM that was off, has no sample. NotFound when there is no
	// VM of ours; InvalidArgument for a window that is not positive.
	VMStats(ctx context.Context, t Target, window time.Duration) ([]Sample, error)
}
