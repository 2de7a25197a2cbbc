package proxmoxsim_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// TestAFaultOfTasksMeetsWorkAlone: a change of a configuration that the call itself
// makes is work that fails with the call; what is only remembered of a guest is no
// work, and uses no fault up.
func TestAFaultOfTasksMeetsWorkAlone(t *testing.T) {
	c, _ := serve(t, proxmoxsim.Options{})
	vm, err := c.CreateVM(t.Context(), simadmin.NewVM{Name: "theirs"})
	require.NoError(t, err)
	path := "/nodes/" + vm.Node + "/qemu/" + vm.NativeID
	require.NoError(t, c.SetFaults(t.Context(), simadmin.Fault{Op: simadmin.AnyOp, Kind: simadmin.FaultTaskFails, Count: 2}))

	require.Equal(t, 200, c.do(http.MethodPut, path+"/config", "description", "a note").status)
	out := c.do(http.MethodPut, path+"/config", "cores", "3")
	require.Equal(t, []any{500, "an injected fault"}, []any{out.status, out.reason})
	require.Equal(t, "an injected fault", c.ended(c.do(http.MethodPost, path+"/status/start").Data))
	require.Equal(t, 200, c.do(http.MethodPut, path+"/config", "cores", "3").status)

	report, err := c.Faults(t.Context())
	require.NoError(t, err)
	require.Equal(t, 2, report[0].Fired)
	config, ok := c.get(path + "/config").(map[string]any)
	require.True(t, ok)
	require.Equal(t, "a note", config["description"])
	require.InDelta(t, 3, config["cores"], 0)
}
