package proxmox

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers"
)

func TestTimeframesHoldTheirWindow(t *testing.T) {
	for window, want := range map[time.Duration]string{
		time.Second: "hour", time.Hour: "hour", time.Hour + 1: "day", 24 * time.Hour: "day", 25 * time.Hour: "week",
		7 * 24 * time.Hour: "week", 8 * 24 * time.Hour: "month", 30 * 24 * time.Hour: "month", 31 * 24 * time.Hour: "year",
		1000 * 24 * time.Hour: "year",
	} {
		if got := timeframe(window); got != want {
			t.Errorf("%s is read from %q, want %q", window, got, want)
		}
	}
}

// What was not measured is not a zero.
func TestSamplesAreWhatWasMeasured(t *testing.T) {
	type values [6]any // CPU, memory, disk read and write, net in and out; nil: not measured
	for name, c := range map[string]struct {
		answer string
		want   map[int64]values
	}{
		"nothing": {`[]`, nil},
		"no data": {`null`, nil},
		"whole": {
			`[{"time":2000,"cpu":0.25,"maxcpu":2,"mem":1024.5,"diskread":1,"diskwrite":2,"netin":3,"netout":4.5}]`,
			map[int64]values{2000: {0.25, 1024.5, 1.0, 2.0, 3.0, 4.5}},
		},
		"numbers as text":         {`[{"time":"2000","cpu":"0.5","mem":"7"}]`, map[int64]values{2000: {0.5, 7.0}}},
		"a time without values":   {`[{"time":2000},{"time":2060,"mem":1}]`, map[int64]values{2060: {nil, 1.0}}},
		"values without a time":   {`[{"cpu":0.5,"mem":1}]`, nil},
		"null and not a number":   {`[{"time":2000,"cpu":null,"mem":"NaN"},{"time":2060,"cpu":"nan","mem":5,"netin":"-nan","netout":"inf"}]`, map[int64]values{2060: {nil, 5.0}}},
		"rates alone":             {`[{"time":2000,"netin":5}]`, nil},
		"before the window":       {`[{"time":999,"cpu":1},{"time":1000,"cpu":1},{"time":1001,"cpu":1}]`, map[int64]values{1001: {1.0}}},
		"more than all, and less": {`[{"time":2000,"cpu":1.02},{"time":2060,"cpu":-0.1}]`, map[int64]values{2000: {1.0}, 2060: {0.0}}},
	} {
		t.Run(name, func(t *testing.T) {
			var points []statsPoint
			if err := json.Unmarshal([]byte(c.answer), &points); err != nil {
				t.Fatal(err)
			}
			got := samples(points, time.Unix(1000, 0))
			if got == nil || len(got) != len(c.want) {
				t.Fatalf("there are %d samples, want %d: %+v", len(got), len(c.want), got)
			}
			for _, s := range got {
				want, ok := c.want[s.At.Unix()]
				if !ok {
					t.Errorf("there is a sample of %s", s.At)
				}
				for i, v := range valuesOf(s) {
					if (v == nil) != (want[i] == nil) || v != nil && *v != want[i] {
						t.Errorf("value %d of %s is %v, want %v", i, s.At, v, want[i])
					}
				}
			}
		})
	}
}

func valuesOf(s providers.Sample) [6]*float64 {
	return [6]*float64{s.CPU, s.Memory, s.DiskRead, s.DiskWrite, s.NetIn, s.NetOut}
}
