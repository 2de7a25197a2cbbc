package proxmox

import (
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

// seedMedium makes the medium by which cloud-init is told all of a request.
func seedMedium(req providers.CreateVMRequest) ([]byte, error) {
	files, err := cloudinit.Seed{
		InstanceID: req.VMID, Hostname: hostname(req), SSHKeys: req.CloudInit.SSHKeys,
		UserData: req.CloudInit.UserData, NICs: req.NICs,
	}.Files()
	if err != nil {
		return nil, err
	}
	return cloudinit.Medium(files)
}
