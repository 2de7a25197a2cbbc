package simhv_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func TestNewRefusesBadOptions(t *testing.T) {
	for _, opts := range []simhv.Options{
		{Nodes: -1},
		{NodeVCPUs: -1},
		{NodeMemoryMiB: -1},
		{CPUOvercommit: 0.5},
		{TaskDelay: -1},
		{CallLog: -1},
		{StateFile: t.TempDir() + "/no/such/folder/state"},
	} {
		_, err := simhv.New(opts)
		require.Error(t, err, "%+v", opts)
	}
}

func TestCPUOvercommit(t *testing.T) {
	s := serve(t, simhv.Options{Nodes: 1, NodeVCPUs: 1, CPUOvercommit: 2})
	s.create("id-1")
	s.create("id-2")
	status, body := s.op("create_vm", createBody("id-3", "n", "node-1"))
	require.Equal(t, 507, status, body)
}
