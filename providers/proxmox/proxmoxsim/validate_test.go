package proxmoxsim

import (
	"maps"
	"strings"
	"testing"
)

func facts(t *testing.T) *factTable {
	t.Helper()
	table, err := loadFacts()
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestRequestsAreMatchedWithTheirEndpoint(t *testing.T) {
	table := facts(t)
	for _, c := range []struct{ method, path, template, name, value string }{
		{"GET", "/version", "/version", "", ""},
		{"PUT", "/nodes/pve1/qemu/101/config", "/nodes/{node}/qemu/{vmid}/config", "vmid", "101"},
		{"GET", "/nodes/pve1/storage/local/content/local:iso/a.iso", "/nodes/{node}/storage/{storage}/content/{volume}", "volume", "local:iso/a.iso"},
		{"DELETE", "/nodes/n/tasks/UPID:n:1:", "/nodes/{node}/tasks/{upid}", "upid", "UPID:n:1:"},
	} {
		template, values, known := table.match(c.method, c.path)
		if template != c.template || !known || values[c.name] != c.value {
			t.Errorf("%s %s is %q %v %v", c.method, c.path, template, values, known)
		}
	}
	if template, _, known := table.match("PATCH", "/version"); template != "" || !known {
		t.Errorf("PATCH /version is %q, known %v", template, known)
	}
	if _, _, known := table.match("GET", "/no/such"); known {
		t.Error("a path that is not there is known")
	}
}

func TestWrongParametersAreRefused(t *testing.T) {
	table := facts(t)
	const config = "PUT /nodes/{node}/qemu/{vmid}/config"
	const clone = "POST /nodes/{node}/qemu/{vmid}/clone"
	for _, c := range []struct{ name, endpoint, param, value, key, want string }{
		{"unknown", config, "foo", "1", "foo", unknownProperty},
		{"index too large", config, "net32", "virtio", "net32", unknownProperty},
		{"index written twice", config, "net01", "virtio", "net01", unknownProperty},
		{"placeholder", config, "net[n]", "virtio", "net[n]", unknownProperty},
		{"missing", clone, "full", "1", "newid", missingProperty},
		{"no integer", config, "cores", "two", "cores", "type check ('integer') failed - got 'two'"},
		{"no boolean", clone, "full", "maybe", "full", "type check ('boolean') failed - got 'maybe'"},
		{"too small", clone, "newid", "99", "newid", "value must have a minimum value of 100"},
		{"too large", clone, "newid", "1000000000", "newid", "value must have a maximum value of 999999999"},
		{"not in the list", clone, "format", "vhd", "format", "value 'vhd' does not have a value in the enumeration 'raw, qcow2, vmdk'"},
		{"too long", config, "digest", strings.Repeat("a", 41), "digest", "value may only be 40 characters long"},
		{"name", config, "name", "a_b", "name", "valid DNS name"},
		{"node", clone, "target", "a.b", "target", "valid node name"},
		{"snapshot name", "POST /nodes/{node}/qemu/{vmid}/snapshot", "snapname", "1abc", "snapname", "invalid configuration ID '1abc'"},
		{"sub-key", config, "net0", "virtio,vlan=3", "net0", "net0.vlan: " + unknownProperty},
		{"sub-key's range", config, "net0", "virtio,tag=4095", "net0", "net0.tag: value must have a maximum value of 4094"},
		{"MAC", config, "net0", "virtio=01:00:00:00:00:01", "net0", "valid unicast MAC address"},
		{"no model", config, "net0", "bridge=vmbr0", "net0", "net0.model: " + missingProperty},
		{"disk", config, "scsi0", "local:1,colour=red", "scsi0", "scsi0.colour: " + unknownProperty},
		{"address", config, "ipconfig0", "ip=10.0.0.1", "ipconfig0", "ipv4 network configuration"},
		{"gateway alone", config, "ipconfig0", "gw=10.0.0.1", "ipconfig0", "'gw' requires this property"},
		{"keys not encoded", config, "sshkeys", "ssh-ed25519 AAAA", "sshkeys", "url-encoded"},
		{"firmware's uuid", config, "smbios1", "uuid=1", "smbios1", "smbios1.uuid"},
		{"tag", config, "tags", "a;b c;ü", "tags", "invalid characters in tag"},
		{"memory", config, "memory", "8", "memory", "value must have a minimum value of 16"},
		{"resize", "PUT /nodes/{node}/qemu/{vmid}/resize", "size", "1X", "size", "regex pattern"},
	} {
		t.Run(c.name, func(t *testing.T) {
			params := map[string]string{"node": "pve1", "vmid": "101", c.param: c.value}
			bad := table.validate(c.endpoint, params)
			if !strings.Contains(bad[c.key], c.want) {
				t.Errorf("%s=%s is answered %q", c.param, c.value, bad)
			}
		})
	}
}

func TestRightParametersAreTaken(t *testing.T) {
	table := facts(t)
	params := map[string]string{
		"node": "pve1", "vmid": "101", "name": "web-1.example.org", "cores": "4", "memory": "2048", "cpu": "host,flags=+aes",
		"net0": "virtio=BC:24:11:00:00:01,bridge=vmbr0,tag=20,firewall=1", "net31": "model=e1000,bridge=vmbr1",
		"scsi0": "local-lvm:8,discard=on,ssd=1", "ide2": "local-lvm:cloudinit,media=cdrom", "unused0": "local-lvm:vm-101-disk-3",
		"ipconfig0": "ip=10.0.0.5/24,gw=10.0.0.1", "ipconfig1": "ip=dhcp,ip6=auto", "sshkeys": "ssh-ed25519%20AAAA%0A",
		"smbios1": "uuid=0d6f5a1e-7c8f-4a55-9f8e-0c6e5ac6f4a0", "tags": "hcp;hcp-vm-1", "boot": "order=scsi0;net0", "onboot": "yes",
		"cicustom": "user=local:snippets/hcp.yaml", "serial0": "socket", "vga": "serial0", "agent": "1", "delete": "net5,scsi3",
		"description": "line\nhcp: {\"a\":1}", "digest": strings.Repeat("a", 40), "nameserver": "10.0.0.2 10.0.0.3",
	}
	if bad := table.validate("PUT /nodes/{node}/qemu/{vmid}/config", params); bad != nil {
		t.Error(bad)
	}
	got := table.properties("net0", params["net0"])
	want := map[string]string{"model": "virtio", "macaddr": "BC:24:11:00:00:01", "bridge": "vmbr0", "tag": "20", "firewall": "1"}
	if !maps.Equal(got, want) {
		t.Errorf("net0 is %v", got)
	}
}
