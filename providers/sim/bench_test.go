package sim_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// large is a hypervisor that is never full.
func large(file string) simhv.Options {
	return simhv.Options{Nodes: 4, NodeVCPUs: 1 << 30, NodeMemoryMiB: 1 << 40, StateFile: file}
}

// BenchmarkLife creates a VM, polls the task, reads the VM back and deletes it:
// what the adapter and the hypervisor take of one operation's time.
func BenchmarkLife(b *testing.B) {
	for _, state := range []string{"memory", "file"} {
		for _, held := range []int{0, 10_000} {
			b.Run(fmt.Sprintf("state=%s/vms=%d", state, held), func(b *testing.B) {
				file := ""
				if state == "file" {
					file = b.TempDir() + "/state"
				}
				p := start(b, large(file))
				a := p.open(b)
				for range held {
					_, _, err := a.CreateVM(b.Context(), request())
					require.NoError(b, err)
				}
				b.ReportAllocs()
				for b.Loop() {
					req := request()
					_, task, err := a.CreateVM(b.Context(), req)
					require.NoError(b, err)
					poll(b, a, task)
					_, err = a.FindVM(b.Context(), req.VMID)
					require.NoError(b, err)
					task, err = a.DeleteVM(b.Context(), providers.Target{VMID: req.VMID})
					require.NoError(b, err)
					poll(b, a, task)
				}
			})
		}
	}
}

func poll(b *testing.B, a providers.Provider, task providers.TaskRef) {
	b.Helper()
	st, err := a.PollTask(b.Context(), task)
	require.NoError(b, err)
	require.True(b, st.Done)
}

// BenchmarkFind reads one of 10,000 VMs, by many callers at once.
func BenchmarkFind(b *testing.B) {
	a, ids := tenThousand(b)
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := 0; pb.Next(); i++ {
			if _, err := a.FindVM(context.Background(), ids[i%len(ids)]); err != nil {
				b.Error(err)
			}
		}
	})
}

// BenchmarkList reads all of 10,000 VMs in pages.
func BenchmarkList(b *testing.B) {
	a, ids := tenThousand(b)
	for b.Loop() {
		n, page := 0, providers.PageRequest{Limit: 500}
		for {
			res, err := a.ListVMs(b.Context(), page)
			require.NoError(b, err)
			n += len(res.VMs)
			if page.Token = res.Next; page.Token == "" {
				break
			}
		}
		require.Equal(b, len(ids), n)
	}
}

func tenThousand(b *testing.B) (providers.Provider, []string) {
	b.Helper()
	p := start(b, large(""))
	for i := range 10_000 {
		id := models.NewID()
		_, err := p.CreateVM(b.Context(), simadmin.NewVM{
			Name: fmt.Sprintf("vm-%d", i), UUID: id, Mark: &simadmin.Mark{VMID: id, InstallationID: installation},
		})
		require.NoError(b, err)
	}
	vms, err := p.VMs(b.Context())
	require.NoError(b, err)
	ids := make([]string, 0, len(vms))
	for _, vm := range vms {
		ids = append(ids, vm.Mark.VMID)
	}
	return p.open(b), ids
}
