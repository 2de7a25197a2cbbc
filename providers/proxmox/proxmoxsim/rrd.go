package proxmoxsim

import (
	"fmt"
	"time"
)

// resolution is how far apart the points of a time frame are, and how many there
// are.
func resolution(timeframe string) (step time.Duration, points int) {
	switch timeframe {
	case "day":
		return time.Minute, 1440
	case "week":
		return 30 * time.Minute, 336
	case "month":
		return 30 * time.Minute, 1440
	case "year":
		return 6 * time.Hour, 1440
	default:
		return time.Minute, 60
	}
}

// rrdData is what was measured of the guest, oldest first. Points from before its
// start have only their time. A guest that its node has not reported yet has no
// database.
func (c *call) rrdData() (any, error) {
	step, points := resolution(c.text("timeframe"))
	rows := make([]map[string]any, 0, points)
	err := c.edit(func(g *guest) error {
		c.server.report()
		if c.server.reports[g.VMID] == nil {
			return failed(fmt.Sprintf("RRD error: opening '/var/lib/rrdcached/db/pve-vm-9.0/%d': No such file or directory", g.VMID))
		}
		last := time.Now().Truncate(step)
		for i := points - 1; i >= 0; i-- {
			at := last.Add(-time.Duration(i) * step)
			row := map[string]any{"time": at.Unix()}
			if g.isRunning() && (i == 0 || at.After(g.Started)) {
				now := c.server.statusOf(g)
				row["maxcpu"], row["maxmem"], row["maxdisk"] = now["cpus"], now["maxmem"], now["maxdisk"]
				row["cpu"], row["mem"], row["disk"] = now["cpu"], now["mem"], now["disk"]
				row["netin"], row["netout"], row["diskread"], row["diskwrite"] = 120000.0, 80000.0, 4096000.0, 2048000.0
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}
