package cloudinit

import (
	"bytes"
	"encoding/json"

	"github.com/kdomanski/iso9660"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Label is the volume label by which cloud-init's NoCloud source finds its medium
// (https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html).
const Label = "cidata"

// Seed is what NoCloud tells a guest.
type Seed struct {
	InstanceID string
	Hostname   string
	SSHKeys    []string
	UserData   []byte // the tenant's, byte for byte
	NICs       []providers.NIC
}

// noCloudMeta is NoCloud's meta-data. The keys stand here, so that they count beside
// a tenant's own user data.
type noCloudMeta struct {
	InstanceID    string   `json:"instance-id"`
	LocalHostname string   `json:"local-hostname"`
	PublicKeys    []string `json:"public-keys,omitempty"`
}

// Files are the files of the seed, by name. They are JSON, which is YAML that every
// parser reads alike, but for the user data. The error is an InputError.
func (s Seed) Files() (map[string][]byte, error) {
	meta, err := json.Marshal(noCloudMeta{InstanceID: s.InstanceID, LocalHostname: s.Hostname, PublicKeys: s.SSHKeys})
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"meta-data": meta, "user-data": s.UserData}
	network, err := NetworkOf(s.NICs)
	if err != nil || network == nil {
		return files, err
	}
	files["network-config"], err = json.Marshal(network)
	return files, err
}

// Medium makes an ISO 9660 image of the files of a seed.
func Medium(files map[string][]byte) (image []byte, err error) {
	w, err := iso9660.NewWriter()
	if err != nil {
		return nil, err
	}
	defer func() {
		if cleanErr := w.Cleanup(); err == nil {
			err = cleanErr
		}
	}()
	for name, content := range files {
		if err := w.AddFile(bytes.NewReader(content), name); err != nil {
			return nil, err
		}
	}
	var out bytes.Buffer
	if err := w.WriteTo(&out, Label); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
