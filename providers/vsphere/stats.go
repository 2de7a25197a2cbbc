package vsphere

import (
	"context"
	"slices"
	"time"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// VMStats reads the hypervisor's performance counters: an hour to 20 seconds, and
// longer times less finely. What vCenter's statistics level does not keep for that
// long is not measured.
func (p *Provider) VMStats(ctx context.Context, t providers.Target, window time.Duration) ([]providers.Sample, error) {
	const op = "VMStats"
	if window <= 0 {
		return nil, fail(op, providers.InvalidArgument, nil, "the window has to be positive")
	}
	m, err := p.mine(ctx, op, t.VMID)
	if err != nil {
		return nil, err
	}
	var out []providers.Sample
	err = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		out, err = queryStats(ctx, c, m.Ref, window)
		return err
	})
	if err != nil {
		return nil, elsewhere(err)
	}
	return out, nil
}

// usage is one counter, and where its value goes.
type usage struct {
	group, name string
	set         func(s *providers.Sample, value float64)
}

const kib = 1 << 10

// usages are the counters in use, all of them averages of the whole VM.
func usages() []usage {
	return []usage{
		{"cpu", "usage", func(s *providers.Sample, v float64) { v = min(max(v/10000, 0), 1); s.CPU = &v }}, // hundredths of a percent
		{"mem", "consumed", func(s *providers.Sample, v float64) { v *= kib; s.Memory = &v }},
		{"disk", "read", func(s *providers.Sample, v float64) { v *= kib; s.DiskRead = &v }},
		{"disk", "write", func(s *providers.Sample, v float64) { v *= kib; s.DiskWrite = &v }},
		{"net", "received", func(s *providers.Sample, v float64) { v *= kib; s.NetIn = &v }},
		{"net", "transmitted", func(s *providers.Sample, v float64) { v *= kib; s.NetOut = &v }},
	}
}

// interval is how far apart the hypervisor keeps samples for a window, in seconds.
func interval(window time.Duration) int32 {
	const day = 24 * time.Hour
	switch {
	case window <= time.Hour:
		return 20
	case window <= day:
		return 300
	case window <= 7*day:
		return 1800
	case window <= 30*day:
		return 7200
	}
	return 86400
}

func queryStats(ctx context.Context, c *vim25.Client, vm types.ManagedObjectReference, window time.Duration) ([]providers.Sample, error) {
	if c.ServiceContent.PerfManager == nil {
		return []providers.Sample{}, nil
	}
	now, err := methods.GetCurrentTime(ctx, c)
	if err != nil {
		return nil, err
	}
	var manager mo.PerformanceManager
	if err := property.DefaultCollector(c).RetrieveOne(ctx, *c.ServiceContent.PerfManager, []string{"perfCounter"}, &manager); err != nil {
		return nil, err
	}
	counters := counterIDs(manager.PerfCounter)
	start := now.Add(-window)
	spec := types.PerfQuerySpec{Entity: vm, StartTime: &start, EndTime: now, IntervalId: interval(window), Format: string(types.PerfFormatNormal)}
	for id := range counters {
		spec.MetricId = append(spec.MetricId, types.PerfMetricId{CounterId: id})
	}
	res, err := methods.QueryPerf(ctx, c, &types.QueryPerf{This: *c.ServiceContent.PerfManager, QuerySpec: []types.PerfQuerySpec{spec}})
	if err != nil {
		return nil, err
	}
	return samplesOf(res.Returnval, counters, start), nil
}

// counterIDs finds the counters in use among those that the hypervisor has.
func counterIDs(all []types.PerfCounterInfo) map[int32]usage {
	out := map[int32]usage{}
	for _, c := range all {
		if c.RollupType != types.PerfSummaryTypeAverage || c.GroupInfo == nil || c.NameInfo == nil {
			continue
		}
		for _, u := range usages() {
			if c.GroupInfo.GetElementDescription().Key == u.group && c.NameInfo.GetElementDescription().Key == u.name {
				out[c.Key] = u
			}
		}
	}
	return out
}

// samplesOf are the samples after a time, oldest first.
func samplesOf(answers []types.BasePerfEntityMetricBase, counters map[int32]usage, after time.Time) []providers.Sample {
	out := []providers.Sample{}
	for _, a := range answers {
		entity, ok := a.(*types.PerfEntityMetric)
		if !ok {
			continue
		}
		for i, info := range entity.SampleInfo {
			s, measured := sampleAt(entity, i, counters)
			s.At = info.Timestamp.UTC()
			if measured && s.At.After(after) {
				out = append(out, s)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b providers.Sample) int { return a.At.Compare(b.At) })
	return out
}

// sampleAt is the i-th sample of a VM. A value below zero was not measured, and one
// with an instance is that of a part of the VM.
func sampleAt(entity *types.PerfEntityMetric, i int, counters map[int32]usage) (s providers.Sample, measured bool) {
	for _, v := range entity.Value {
		series, ok := v.(*types.PerfMetricIntSeries)
		if !ok || i >= len(series.Value) || series.Value[i] < 0 || series.Id.Instance != "" {
			continue
		}
		if u, known := counters[series.Id.CounterId]; known {
			u.set(&s, float64(series.Value[i]))
			measured = true
		}
	}
	return s, measured
}

var _ providers.StatsReader = (*Provider)(nil)
