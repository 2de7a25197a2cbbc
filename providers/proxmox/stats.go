package proxmox

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// VMStats reads the hypervisor's round-robin database, which keeps an hour to the
// minute, and longer times less finely.
func (p *Provider) VMStats(ctx context.Context, t providers.Target, window time.Duration) ([]providers.Sample, error) {
	const op = "VMStats"
	if window <= 0 {
		return nil, fail(op, providers.InvalidArgument, nil, "the window has to be positive")
	}
	m, err := p.mine(ctx, op, t.VMID)
	if err != nil {
		return nil, err
	}
	var points []statsPoint
	err = p.get(ctx, op, vmPath(m, "rrddata"), params{"timeframe": timeframe(window), "cf": "AVERAGE"}, &points)
	if isUnmeasured(err) {
		return []providers.Sample{}, nil
	}
	if err != nil {
		return nil, err
	}
	return samples(points, time.Now().Add(-window)), nil
}

// isUnmeasured reports whether an error says that a VM is too new to have a
// database.
func isUnmeasured(err *providers.Error) bool {
	var answer *apiError
	return err != nil && errors.As(err.Err, &answer) && strings.Contains(answer.Reason, "RRD error: opening")
}

// timeframe is the shortest one of the hypervisor's that holds a window.
func timeframe(window time.Duration) string {
	const day = 24 * time.Hour
	switch {
	case window <= time.Hour:
		return "hour"
	case window <= day:
		return "day"
	case window <= 7*day:
		return "week"
	case window <= 30*day:
		return "month"
	}
	return "year"
}

// statsPoint is a row of the database. What was not measured is not in it.
type statsPoint struct {
	Time      measured `json:"time"`
	CPU       measured `json:"cpu"`
	Memory    measured `json:"mem"`
	DiskRead  measured `json:"diskread"`
	DiskWrite measured `json:"diskwrite"`
	NetIn     measured `json:"netin"`
	NetOut    measured `json:"netout"`
}

// measured is a number of the database, nil where it has none. Depending on the
// release numbers come as such or as text, and one that is unknown as null or NaN.
type measured struct{ value *float64 }

// UnmarshalJSON takes whatever is not a finite number for unknown.
func (m *measured) UnmarshalJSON(b []byte) error {
	text := string(b)
	if strings.HasPrefix(text, `"`) {
		if err := json.Unmarshal(b, &text); err != nil {
			return err
		}
	}
	m.value = nil
	if n, err := strconv.ParseFloat(strings.TrimSpace(text), 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
		m.value = &n
	}
	return nil
}

// samples are the points after a time at which anything was measured.
func samples(points []statsPoint, after time.Time) []providers.Sample {
	out := []providers.Sample{}
	for _, p := range points {
		if p.Time.value == nil || p.CPU.value == nil && p.Memory.value == nil {
			continue
		}
		at := time.Unix(int64(*p.Time.value), 0).UTC()
		if !at.After(after) {
			continue
		}
		out = append(out, providers.Sample{
			At: at, CPU: share(p.CPU.value), Memory: p.Memory.value, DiskRead: p.DiskRead.value, DiskWrite: p.DiskWrite.value,
			NetIn: p.NetIn.value, NetOut: p.NetOut.value,
		})
	}
	return out
}

// share keeps a share within its bounds: what the hypervisor itself does for a VM
// can take it above 1.
func share(v *float64) *float64 {
	if v == nil {
		return nil
	}
	n := min(max(*v, 0), 1)
	return &n
}

var _ providers.StatsReader = (*Provider)(nil)
