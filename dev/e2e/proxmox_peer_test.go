package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// What an operator of the cluster does, past the control plane.

// get reads from the cluster's API.
func (hv *proxmoxCluster) get(t *testing.T, path string, into any) {
	t.Helper()
	hv.api(t, http.MethodGet, path, nil, into)
}

func (hv *proxmoxCluster) api(t *testing.T, method, path string, form url.Values, into any) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, hv.URL+"/api2/json"+path, strings.NewReader(form.Encode()))
	require.NoError(t, err)
	req.Header.Set("Authorization", "PVEAPIToken="+proxmoxsim.DefaultToken)
	req.Header.Set("User-Agent", operator)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	res, err := hv.Client.Do(req)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	require.Equal(t, http.StatusOK, res.StatusCode, "%s %s: %s", method, path, res.Status)
	answer := struct {
		Data any `json:"data"`
	}{into}
	require.NoError(t, json.NewDecoder(res.Body).Decode(&answer))
}

// operator tells this test's own calls from the adapters'.
const operator = "an operator"

// config is a VM's configuration, with its digest.
func (hv *proxmoxCluster) config(t *testing.T, vm simadmin.VM) map[string]any {
	t.Helper()
	var out map[string]any
	hv.get(t, "/nodes/"+vm.Node+"/qemu/"+vm.NativeID+"/config", &out)
	require.NotEmpty(t, out["digest"])
	return out
}

// strangersAt puts other people's VMs at VMIDs.
func (hv *proxmoxCluster) strangersAt(t *testing.T, vmids ...string) []simadmin.VM {
	t.Helper()
	var out []simadmin.VM
	for i, vmid := range vmids {
		v, err := hv.CreateVM(t.Context(), simadmin.NewVM{
			Name: fmt.Sprintf("somebody-elses-%d", i), VCPUs: 1, MemoryMiB: 256, Power: "running",
		})
		require.NoError(t, err)
		v, err = hv.PatchVM(t.Context(), v.NativeID, simadmin.VMChange{NativeID: &vmid})
		require.NoError(t, err)
		require.Equal(t, vmid, v.NativeID)
		out = append(out, v)
	}
	return out
}

// copyTo clones a VM as an operator does, and puts the copy at a VMID that is
// free by then.
func (hv *proxmoxCluster) copyTo(t *testing.T, vm simadmin.VM, vmid string) simadmin.VM {
	t.Helper()
	const aside = "9100"
	var task string
	hv.api(t, http.MethodPost, "/nodes/"+vm.Node+"/qemu/"+vm.NativeID+"/clone", url.Values{"newid": {aside}, "full": {"1"}}, &task)
	eventually(t, jobLimit, func() error {
		var st struct{ Status, ExitStatus string }
		hv.get(t, "/nodes/"+vm.Node+"/tasks/"+url.PathEscape(task)+"/status", &st)
		if st.Status != "stopped" {
			return fmt.Errorf("the copy is %s", st.Status)
		}
		require.Equal(t, "OK", st.ExitStatus)
		return nil
	})
	require.NoError(t, hv.DeleteVM(t.Context(), vm.NativeID))
	running := "running"
	copied, err := hv.PatchVM(t.Context(), aside, simadmin.VMChange{NativeID: &vmid, Power: &running})
	require.NoError(t, err)
	return copied
}
