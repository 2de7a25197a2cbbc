package proxmox

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/kdomanski/iso9660"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// seedLabel is the volume label by which cloud-init's NoCloud source finds its
// medium (https://cloudinit.readthedocs.io/en/latest/reference/datasources/nocloud.html).
const seedLabel = "cidata"

// metaData is NoCloud's meta-data. The keys stand here, so that they count beside
// a tenant's own user data.
type metaData struct {
	InstanceID    string   `json:"instance-id"`
	LocalHostname string   `json:"local-hostname"`
	PublicKeys    []string `json:"public-keys,omitempty"`
}

// networkConfig is cloud-init's network configuration, version 2.
type networkConfig struct {
	Version   int                       `json:"version"`
	Ethernets map[string]ethernetConfig `json:"ethernets"`
}

type ethernetConfig struct {
	Match struct {
		MAC string `json:"macaddress"`
	} `json:"match"`
	DHCP4       bool          `json:"dhcp4"`
	Addresses   []string      `json:"addresses,omitempty"`
	Routes      []routeConfig `json:"routes,omitempty"`
	Nameservers nameservers   `json:"nameservers,omitzero"`
}

type routeConfig struct {
	To  string `json:"to"`
	Via string `json:"via"`
}

type nameservers struct {
	Addresses []string `json:"addresses,omitempty"`
}

func (n nameservers) IsZero() bool { return len(n.Addresses) == 0 }

// seedFiles makes the files of the medium. They are JSON, which is YAML that every
// parser reads alike; the user data is the tenant's, byte for byte.
func seedFiles(req providers.CreateVMRequest) (map[string][]byte, error) {
	meta, err := json.Marshal(metaData{InstanceID: req.VMID, LocalHostname: hostname(req), PublicKeys: req.CloudInit.SSHKeys})
	if err != nil {
		return nil, err
	}
	files := map[string][]byte{"meta-data": meta, "user-data": req.CloudInit.UserData}
	if len(req.NICs) == 0 {
		return files, nil
	}
	network, err := networkFile(req.NICs)
	if err != nil {
		return nil, err
	}
	files["network-config"], err = json.Marshal(network)
	return files, err
}

// networkFile describes every interface. The default route of each family is that
// of the first interface with a gateway.
func networkFile(nics []providers.NIC) (networkConfig, error) {
	config := networkConfig{Version: 2, Ethernets: map[string]ethernetConfig{}}
	routed := map[string]bool{}
	for i, nic := range nics {
		a, err := addressOf(nic)
		if err != nil {
			return config, err
		}
		e := ethernetConfig{DHCP4: !a.prefix.IsValid(), Nameservers: nameservers{a.dns}}
		e.Match.MAC = strings.ToLower(nic.MAC)
		if a.prefix.IsValid() {
			e.Addresses = []string{a.prefix.String()}
		}
		if a.gateway.IsValid() {
			to := "0.0.0.0/0"
			if a.gateway.Is6() {
				to = "::/0"
			}
			if !routed[to] {
				routed[to] = true
				e.Routes = []routeConfig{{To: to, Via: a.gateway.String()}}
			}
		}
		config.Ethernets[fmt.Sprintf("nic%d", i)] = e
	}
	return config, nil
}

// seedImage makes the medium: an ISO 9660 image of the files.
func seedImage(req providers.CreateVMRequest) (image []byte, err error) {
	files, err := seedFiles(req)
	if err != nil {
		return nil, err
	}
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
	if err := w.WriteTo(&out, seedLabel); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}
