package proxmox_test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

// TestUserDataIsOnAMediumOfOurs hands user data over as the tenant wrote it, keeps
// it from a clone, and removes it with the VM.
func TestUserDataIsOnAMediumOfOurs(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	c.options["iso_storage"] = "shared"
	p, req := c.open(t), coreRequest()
	req.CloudInit.UserData = []byte("#!/bin/sh\necho 'a, b: {c}' \xff\n")
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.False(t, vm.Incomplete)
	sum := sha256.Sum256(req.CloudInit.UserData)
	told := c.native(t.Context(), t, string(vm.Ref)).CloudInit
	require.NotNil(t, told)
	require.Equal(t, hex.EncodeToString(sum[:]), told.UserDataSHA256)
	owner := sha256.Sum256([]byte(coreInstallation))
	medium := "shared:iso/hcp-" + hex.EncodeToString(owner[:6]) + "-" + req.VMID + ".iso"
	require.Contains(t, c.volumes(t, "shared"), medium)
	left, err := p.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Contains(t, left, providers.Object{Type: "volume", Ref: medium})

	twin := coreRequest()
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CloneVM(t.Context(), providers.Target{VMID: req.VMID}, twin)
		return task, err
	})
	copied, err := p.FindVM(t.Context(), twin.VMID)
	require.NoError(t, err)
	told = c.native(t.Context(), t, string(copied.Ref)).CloudInit
	require.NotNil(t, told)
	require.Empty(t, told.UserDataSHA256, "the source's user data is not the clone's")

	for _, id := range []string{req.VMID, twin.VMID} {
		settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), providers.Target{VMID: id}) })
		left, err = p.Leftovers(t.Context(), id)
		require.NoError(t, err)
		require.Empty(t, left)
	}
	require.Len(t, c.volumes(t, "shared"), 2, "only the template's volumes are left")
}

// TestAnotherInstallationsUserDataIsLeftAlone has two installations with one VM ID,
// as where one was made from a copy of the other one's database.
func TestAnotherInstallationsUserDataIsLeftAlone(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	c.options["iso_storage"] = "shared"
	p, req := c.open(t), coreRequest()
	req.CloudInit.UserData = []byte("#!/bin/sh\n")
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	before := c.volumes(t, "shared")
	copied, err := proxmox.Open(context.WithoutCancel(t.Context()), providers.Config{
		ProviderID: "provider-1", InstallationID: coreOther, URL: c.URL, Options: c.options,
		Credentials: models.Credentials{Token: proxmoxsim.DefaultToken},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, copied.Close()) })
	settle(t, copied, func() (providers.TaskRef, error) {
		return copied.DeleteVM(t.Context(), providers.Target{VMID: req.VMID})
	})
	require.Equal(t, before, c.volumes(t, "shared"))
	left, err := copied.Leftovers(t.Context(), req.VMID)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestUserDataWithoutAPlaceIsRefused(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	req := coreRequest()
	req.CloudInit.UserData = []byte("#cloud-config\n")
	_, _, err := c.open(t).CreateVM(t.Context(), req)
	require.Equal(t, providers.InvalidArgument, providers.CodeOf(err))
	all, err := c.VMs(t.Context())
	require.NoError(t, err)
	require.Empty(t, all)
}

// TestWhereAVMIsCloned has a template on pve1 and asks for a VM on pve2: its disk
// must be on a storage that both have.
func TestWhereAVMIsCloned(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	p := c.open(t)
	for _, mode := range []models.CloneMode{"", models.CloneFull} {
		req := coreRequest()
		req.Node, req.Image.CloneMode = "pve2", mode
		settle(t, p, func() (providers.TaskRef, error) {
			_, task, err := p.CreateVM(t.Context(), req)
			return task, err
		})
		vm, err := p.FindVM(t.Context(), req.VMID)
		require.NoError(t, err)
		require.Equal(t, "pve2", vm.Node, mode)
	}
	volumes := strings.Join(c.volumes(t, "shared"), " ")
	require.Contains(t, volumes, "base-9000-disk-0")
}

// TestOptionsOfWhatIsMade looks at what storage, CPU type and user come to.
func TestOptionsOfWhatIsMade(t *testing.T) {
	t.Parallel()
	c := startCluster(t, proxmoxsim.Options{})
	c.options["storage"], c.options["cpu_type"], c.options["cloud_init_user"] = "local-lvm", "host", "admin"
	p, req := c.open(t), coreRequest()
	req.Image.CloneMode = models.CloneFull
	settle(t, p, func() (providers.TaskRef, error) {
		_, task, err := p.CreateVM(t.Context(), req)
		return task, err
	})
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	disk := "local-lvm:vm-" + string(vm.Ref) + "-disk-0"
	require.Contains(t, c.volumes(t, "local-lvm"), disk)
	require.Equal(t, "host", c.config(t, vm)["cpu"])
	require.Equal(t, "admin", c.config(t, vm)["ciuser"])
	settle(t, p, func() (providers.TaskRef, error) { return p.DeleteVM(t.Context(), providers.Target{VMID: req.VMID}) })
	require.NotContains(t, c.volumes(t, "local-lvm"), disk)
}
