package vspheresim

import (
	"fmt"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vapi/vcenter"
	"github.com/vmware/govmomi/vim25/types"
)

// TestImportsAndClonesGoTogether: the library's own wait for each other for ever, since
// one has the pool locked and waits for the folder, and the other the reverse.
func TestImportsAndClonesGoTogether(t *testing.T) {
	t.Parallel()
	s, err := Start(Options{})
	require.NoError(t, err)
	to, err := url.Parse(s.URL() + "/sdk")
	require.NoError(t, err)
	to.User = url.UserPassword(Username, Password)
	c, err := govmomi.NewClient(t.Context(), to, true)
	require.NoError(t, err)
	lib, err := s.AddLibrary(t.Context(), "lib")
	require.NoError(t, err)
	item, err := s.AddOVF(t.Context(), lib, "ovf", 1)
	require.NoError(t, err)
	var template *simulator.VirtualMachine
	for _, e := range s.Model.Map().All("VirtualMachine") {
		if vm, ok := e.(*simulator.VirtualMachine); ok && vm.Name == Template {
			template = vm
		}
	}
	require.NotNil(t, template)
	folder, pool := s.Model.Map().Any("Datacenter").(*simulator.Datacenter).VmFolder, s.Model.Map().Any("ResourcePool").Reference()

	clone := func(i int) error {
		task, err := object.NewVirtualMachine(c.Client, template.Self).Clone(t.Context(),
			object.NewFolder(c.Client, folder), fmt.Sprintf("clone-%d", i),
			types.VirtualMachineCloneSpec{Location: types.VirtualMachineRelocateSpec{Pool: &pool}})
		if err == nil {
			err = task.Wait(t.Context())
		}
		return err
	}
	deploy := func(i int) error {
		var done vcenter.Deployment
		err := s.operate(t.Context(), http.MethodPost, restPath+"/com/vmware/vcenter/ovf/library-item/id:"+item, url.Values{"~action": {"deploy"}},
			vcenter.Deploy{
				DeploymentSpec: vcenter.DeploymentSpec{Name: fmt.Sprintf("import-%d", i), AcceptAllEULA: true},
				Target:         vcenter.Target{ResourcePoolID: pool.Value, FolderID: folder.Value},
			}, &done)
		if err == nil && !done.Succeeded {
			err = fmt.Errorf("the deployment failed: %w", done.Error)
		}
		return err
	}
	const each = 20
	ended := make(chan error, 2*each)
	for i := range each {
		go func() { ended <- clone(i) }()
		go func() { ended <- deploy(i) }()
	}
	hung := time.After(2 * time.Minute)
	for range 2 * each {
		select {
		case err := <-ended:
			require.NoError(t, err)
		case <-hung:
			t.Fatal("imports and clones wait for each other")
		}
	}
	s.Close() // it would wait for calls that hang
}
