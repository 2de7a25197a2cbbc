package placement_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/placement"
)

func TestFirstFit(t *testing.T) {
	node := func(name string, reachable bool, usedVCPUs, usedMiB int) placement.Candidate {
		return placement.Candidate{
			NodeID: "id-" + name, NodeName: name, Reachable: reachable,
			VCPUs: 8, MemoryMiB: 8192, UsedVCPUs: usedVCPUs, UsedMemoryMiB: usedMiB,
		}
	}
	request := placement.Request{VCPUs: 2, MemoryMiB: 1024}
	for name, c := range map[string]struct {
		candidates []placement.Candidate
		want       []string
	}{
		"none":                  {nil, []string{}},
		"by name":               {[]placement.Candidate{node("b", true, 0, 0), node("a", true, 0, 0)}, []string{"a", "b"}},
		"exactly full fits":     {[]placement.Candidate{node("a", true, 6, 7168)}, []string{"a"}},
		"no vCPU left":          {[]placement.Candidate{node("a", true, 7, 0)}, []string{}},
		"no memory left":        {[]placement.Candidate{node("a", true, 0, 7169)}, []string{}},
		"unreachable ones last": {[]placement.Candidate{node("a", false, 0, 0), node("b", true, 0, 0)}, []string{"b", "a"}},
	} {
		t.Run(name, func(t *testing.T) {
			before := slices.Clone(c.candidates)
			got := []string{}
			for _, r := range (placement.FirstFit{}).Rank(request, c.candidates) {
				got = append(got, r.NodeName)
			}
			require.Equal(t, c.want, got)
			require.Equal(t, before, c.candidates, "the argument stays as it is")
		})
	}
}

// The order of the candidates does not matter, also where names are the same
// in two clusters.
func TestFirstFitIsDeterministic(t *testing.T) {
	var candidates []placement.Candidate
	for _, id := range []string{"3", "1", "2", "4"} {
		candidates = append(candidates, placement.Candidate{NodeID: id, NodeName: "node", Reachable: true, VCPUs: 4, MemoryMiB: 4096})
	}
	want := (placement.FirstFit{}).Rank(placement.Request{VCPUs: 1, MemoryMiB: 1}, candidates)
	require.Len(t, want, 4)
	for range 20 {
		rand.Shuffle(len(candidates), func(i, j int) { candidates[i], candidates[j] = candidates[j], candidates[i] })
		require.Equal(t, want, (placement.FirstFit{}).Rank(placement.Request{VCPUs: 1, MemoryMiB: 1}, candidates))
	}
}
