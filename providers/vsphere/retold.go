package vsphere

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

// The network configuration that cloud-init reads follows the VM's interfaces: the write
// that adds or removes one changes both. The instance ID stays, so that a guest that is
// set up is not set up anew.

// toldOf is the metadata with one interface more; none where the VM's metadata is not
// as the adapter writes it: somebody has taken it over.
func (m *machine) toldOf(nic providers.NIC) ([]types.BaseOptionValue, error) {
	one, err := cloudinit.NetworkOf([]providers.NIC{nic})
	if err != nil {
		return nil, err
	}
	meta, ok := m.metadata()
	if !ok {
		return nil, nil
	}
	e := one.Ethernets["nic0"]
	if meta.Network == nil {
		meta.Network = &cloudinit.Network{Version: one.Version, Ethernets: map[string]cloudinit.Ethernet{}}
	}
	name := ""
	for i := 0; name == ""; i++ {
		next := fmt.Sprintf("nic%d", i)
		if _, taken := meta.Network.Ethernets[next]; !taken {
			name = next
		}
	}
	for _, other := range meta.Network.Ethernets {
		if len(e.Routes) > 0 && len(other.Routes) > 0 && other.Routes[0].To == e.Routes[0].To {
			e.Routes = nil // the default route stays where it is
		}
	}
	meta.Network.Ethernets[name] = e
	return meta.options(), nil
}

// toldWithout is the metadata without an interface.
func (m *machine) toldWithout(mac string) []types.BaseOptionValue {
	meta, ok := m.metadata()
	if !ok || meta.Network == nil {
		return nil
	}
	for name, e := range meta.Network.Ethernets {
		if sameMAC(e.Match.MAC, mac) {
			delete(meta.Network.Ethernets, name)
		}
	}
	if len(meta.Network.Ethernets) == 0 {
		meta.Network = nil
	}
	return meta.options()
}

// metadata is what the VM has of it, where that is as the adapter writes it.
func (m *machine) metadata() (meta metaData, ok bool) {
	extra := extraOf(m.VM.Config.ExtraConfig)
	if extra[keyMetadataEncoding] != guestEncoding {
		return meta, false
	}
	raw, err := base64.StdEncoding.DecodeString(extra[keyMetadata])
	if err != nil {
		return meta, false
	}
	r, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil {
		return meta, false
	}
	text, err := io.ReadAll(io.LimitReader(r, maxUnpacked))
	if err != nil {
		return meta, false
	}
	in := json.NewDecoder(strings.NewReader(string(text)))
	in.DisallowUnknownFields() // what is not ours would be lost
	return meta, in.Decode(&meta) == nil && meta.InstanceID != ""
}

// maxUnpacked bounds what is unpacked of a VM's metadata, in bytes.
const maxUnpacked = 16 << 20

// options are the metadata's keys; none where it has no place in them any more.
func (meta metaData) options() []types.BaseOptionValue {
	raw, err := json.Marshal(meta)
	if err != nil {
		return nil
	}
	packed, err := encodeGuestInfo(raw)
	if err != nil {
		return nil
	}
	return []types.BaseOptionValue{option(keyMetadata, packed)}
}
