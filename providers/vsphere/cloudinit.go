package vsphere

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

// The keys of the extra configuration that cloud-init's VMware source reads
// (https://docs.cloud-init.io/en/latest/reference/datasources/vmware.html).
const (
	keyMetadata         = "guestinfo.metadata"
	keyMetadataEncoding = "guestinfo.metadata.encoding"
	keyUserdata         = "guestinfo.userdata"
	keyUserdataEncoding = "guestinfo.userdata.encoding"
	guestEncoding       = "gzip+base64"
)

// maxGuestInfo is what a guest can read of one key, in bytes.
const maxGuestInfo = 64 << 10

// metaData is what the source calls metadata. The keys stand here, so that they
// count beside a tenant's own user data.
type metaData struct {
	InstanceID    string             `json:"instance-id"`
	LocalHostname string             `json:"local-hostname"`
	PublicKeys    string             `json:"public-keys-data,omitempty"` // one a line
	Network       *cloudinit.Network `json:"network,omitempty"`
}

// guestInfo is what cloud-init is told, as extra configuration. Without user data
// its keys are empty, which takes away what a template brought.
func guestInfo(req providers.CreateVMRequest) ([]types.BaseOptionValue, error) {
	return guestInfoOf(req, req.VMID)
}

// guestInfoOf is guestInfo for an instance of cloud-init: a guest that sees another
// instance ID is set up anew.
func guestInfoOf(req providers.CreateVMRequest, instance string) ([]types.BaseOptionValue, error) {
	meta := metaData{InstanceID: instance, LocalHostname: hostname(req)}
	if err := cloudinit.CheckKeys(req.CloudInit.SSHKeys); err != nil {
		return nil, err
	}
	for _, key := range req.CloudInit.SSHKeys {
		meta.PublicKeys += key + "\n"
	}
	network, err := cloudinit.NetworkOf(req.NICs)
	if err != nil {
		return nil, err
	}
	meta.Network = network
	// JSON is YAML that every parser reads alike.
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil, cloudinit.InputError("the request cannot be told to the guest")
	}
	metadata, err := encodeGuestInfo(raw)
	if err != nil {
		return nil, err
	}
	userdata, userEncoding := "", ""
	if len(req.CloudInit.UserData) > 0 {
		if userdata, err = encodeGuestInfo(req.CloudInit.UserData); err != nil {
			return nil, err
		}
		userEncoding = guestEncoding
	}
	return []types.BaseOptionValue{
		option(keyMetadata, metadata), option(keyMetadataEncoding, guestEncoding),
		option(keyUserdata, userdata), option(keyUserdataEncoding, userEncoding),
	}, nil
}

// encodeGuestInfo packs a text. The same text gives the same value always.
func encodeGuestInfo(raw []byte) (string, error) {
	var packed bytes.Buffer
	w, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		return "", err
	}
	if _, err := w.Write(raw); err != nil {
		return "", err
	}
	if err := w.Close(); err != nil {
		return "", err
	}
	out := base64.StdEncoding.EncodeToString(packed.Bytes())
	if len(out) > maxGuestInfo {
		return "", cloudinit.InputError("what cloud-init is told is larger than 64 KiB, packed")
	}
	return out, nil
}
