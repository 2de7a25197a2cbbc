package simhv_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func TestCallsAreLogged(t *testing.T) {
	s := serve(t, simhv.Options{})
	native, task := s.create("id-1")
	s.op("find_vm", `{"mark":{"vm_id":"id-1","installation_id":"i"},"uuid":"id-1"}`)
	s.op("poll_task", `{"task":"`+task+`"}`)
	s.op("find_vm", `{"mark":{"vm_id":"id-2","installation_id":"i"},"uuid":"id-2"}`)
	s.op("info", `{"x":1}`)
	calls, err := s.Calls(t.Context(), 0)
	require.NoError(t, err)
	require.Len(t, calls, 6)
	for i, want := range []simadmin.Call{
		{Op: "login", Status: 200},
		{Op: "create_vm", VMID: "id-1", NativeID: native, Status: 200},
		{Op: "find_vm", VMID: "id-1", NativeID: native, Status: 200},
		{Op: "poll_task", VMID: "id-1", NativeID: native, Status: 200},
		{Op: "find_vm", VMID: "id-2", Status: 200},
		{Op: "info", Status: 400},
	} {
		want.Seq, want.Client, want.At = uint64(i+1), "test", calls[i].At
		require.Equal(t, want, calls[i])
		require.WithinDuration(t, time.Now(), calls[i].At, time.Minute)
	}
	later, err := s.Calls(t.Context(), 5)
	require.NoError(t, err)
	require.Equal(t, calls[5:], later)
	none, err := s.Calls(t.Context(), 6)
	require.NoError(t, err)
	require.Empty(t, none)
}
