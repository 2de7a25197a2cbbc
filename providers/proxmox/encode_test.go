package proxmox

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func TestNetworkRef(t *testing.T) {
	for ref, want := range map[string]networkRef{
		"vmbr0": {"vmbr0", 0}, "vmbr0.20": {"vmbr0", 20}, "vnet-a.4094": {"vnet-a", 4094},
	} {
		if got, ok := parseNetworkRef(ref); !ok || got != want {
			t.Errorf("%q is %+v, %t", ref, got, ok)
		}
	}
	for _, ref := range []string{"", "v", "vmbr0.", "vmbr0.0", "vmbr0.4095", "vmbr0.020", "vmbr0.+2", "vmbr0,tag=2", "0br", "vmbr0 ", "a/b", "vmbr0.1.2", "vmbr0\n"} {
		if got, ok := parseNetworkRef(ref); ok {
			t.Errorf("%q is taken as %+v", ref, got)
		}
	}
}

func TestNICConfig(t *testing.T) {
	const value = "virtio=BC:24:11:AA:BB:CC,bridge=vmbr0,tag=20,firewall=1,queues=4"
	n, ok := parseNICConfig(value)
	if !ok || n.mac != "bc:24:11:aa:bb:cc" || n.model != "virtio" || n.network != (networkRef{"vmbr0", 20}) || n.rest.get("queues") != "4" {
		t.Fatalf("%q is read as %+v", value, n)
	}
	if again, err := n.encode(); err != nil || again != value {
		t.Errorf("it is written as %q, %v", again, err)
	}
	for _, mac := range []string{"", "nonsense", "01:00:5e:00:00:01", "00:00:5e:00:53:01:02:03"} {
		if _, err := (nicConfig{model: "virtio", mac: mac}).encode(); err == nil {
			t.Errorf("the MAC %q is written", mac)
		}
	}
}

func TestDiskConfig(t *testing.T) {
	config := map[string]string{
		"boot": "order=ide2;scsi1;net0", "ide2": "local-lvm:vm-101-cloudinit,media=cdrom",
		"scsi0": "local-lvm:vm-101-disk-0,size=512M", "scsi1": "nfs:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2,discard=on,size=2G",
		"scsihw": "virtio-scsi-single", "scsi10": "local-lvm:vm-101-disk-2,size=1T",
	}
	if got := rootKey(config); got != "scsi1" {
		t.Errorf("the root disk is %q", got)
	}
	if got := cloudInitKey(config); got != "ide2" {
		t.Errorf("the cloud-init medium is %q", got)
	}
	if got := diskKeys(config); !slices.Equal(got, []string{"scsi0", "scsi1", "scsi10", "ide2"}) {
		t.Errorf("the disks are %v", got)
	}
	for key, want := range map[string]int{"scsi0": 1, "scsi1": 2, "scsi10": 1024, "ide2": 0} {
		d, ok := parseDiskConfig(config[key])
		if again, err := d.encode(); !ok || d.sizeGiB() != want || err != nil || again != config[key] {
			t.Errorf("%s: %d GiB, written as %q, %v", key, d.sizeGiB(), again, err)
		}
	}
	delete(config, "boot")
	if got := rootKey(config); got != "scsi0" {
		t.Errorf("without a boot order the root disk is %q", got)
	}
}

func TestOwnerOf(t *testing.T) {
	for volume, want := range map[string]int{
		"local-lvm:vm-101-disk-0": 101, "nfs:101/vm-101-disk-0.qcow2": 101, "nfs:9000/base-9000-disk-0.qcow2/101/vm-101-disk-0.qcow2": 101,
		"local-lvm:vm-100001-cloudinit": 100001, "local-lvm:vm-101-state-a": 101,
		"local-lvm:base-9000-disk-0": 0, "local-lvm:vm-1-disk-0": 0, "local:iso/vm-101-a.iso/x": 0, "none": 0, "local-lvm:subvol-101-disk-0": 0, "": 0,
		"local-lvm:xvm-101-disk-0": 0, "local-lvm:vm-0101-disk-0": 0,
	} {
		if got := ownerOf(volume); got != want {
			t.Errorf("%q belongs to %d, want %d", volume, got, want)
		}
	}
}

func TestCloudInitConfig(t *testing.T) {
	got, err := cloudInitConfig(providers.CloudInit{SSHKeys: []string{"ssh-ed25519 AAAA+/= a b", "ssh-rsa B"}}, []providers.NIC{
		{IPAddress: "10.0.0.5", PrefixLength: 24, Gateway: "10.0.0.1", DNSServers: []string{"10.0.0.2", "10.0.0.3"}},
		{},
		{IPAddress: "10.1.0.5/16", Gateway: "10.1.0.1", DNSServers: []string{"10.0.0.2"}},
		{IPAddress: "2001:db8::5", PrefixLength: 64, Gateway: "2001:db8::1"},
		{IPAddress: "10.3.0.5/24"},
	}, []string{"net0", "net1", "net2", "net5", ""})
	if err != nil {
		t.Fatal(err)
	}
	for key, want := range (params{
		"sshkeys":   "ssh-ed25519%20AAAA%2B%2F%3D%20a%20b%0Assh-rsa%20B",
		"ipconfig0": "ip=10.0.0.5/24,gw=10.0.0.1", "ipconfig1": "ip=dhcp", "ipconfig2": "ip=10.1.0.5/16",
		"ipconfig3": "", "ipconfig4": "", "ipconfig5": "ip6=2001:db8::5/64,gw6=2001:db8::1", "nameserver": "10.0.0.2 10.0.0.3",
	}) {
		if is, _ := got[key].(string); is != want {
			t.Errorf("%s = %q, want %q", key, is, want)
		}
	}
	for _, nic := range []providers.NIC{
		{IPAddress: "10.0.0.5"},
		{IPAddress: "10.0.0.5,gw=1"},
		{IPAddress: "10.0.0.5", PrefixLength: 33},
		{IPAddress: "10.0.0.5/24", Gateway: "2001:db8::1"},
		{IPAddress: "fe80::1%eth0", PrefixLength: 64},
		{IPAddress: "10.0.0.5/24", DNSServers: []string{"x"}},
	} {
		if got, err := cloudInitConfig(providers.CloudInit{}, []providers.NIC{nic}, []string{"net0"}); err == nil {
			t.Errorf("%+v is written as %v", nic, got)
		}
	}
	if _, err := cloudInitConfig(providers.CloudInit{SSHKeys: []string{"a\nb"}}, nil, nil); err == nil {
		t.Error("a key of two lines is taken")
	}
}

func TestHostname(t *testing.T) {
	const id = "0198f3a2-6c1e-7b34-9d53-2f0c8e4a71b6"
	for _, c := range []struct{ host, name, want string }{
		{"web-1", "Web", "web-1"},
		{"", "web.example.org", "web.example.org"},
		{"", "My Web! (1)", "my-web-1"},
		{"", "漢字", "vm-" + id},
		{"-x", "", "vm-" + id},
	} {
		if got := hostname(providers.CreateVMRequest{VMID: id, Name: c.name, CloudInit: providers.CloudInit{Hostname: c.host}}); got != c.want {
			t.Errorf("%+v is called %q", c, got)
		}
	}
}

// FuzzProperties shows that a value which is written is read back as itself, and
// adds no key.
func FuzzProperties(f *testing.F) {
	for _, s := range []string{"a", "a,file=/etc/shadow", "a=b", "x\ny", "ü", "", " ", "a b", "%2C"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		text, err := properties{{"", "local:disk"}, {"serial", value}, {"size", "1G"}}.encode()
		if err != nil {
			return
		}
		got := parseProperties(text)
		if len(got) != 3 || got.get("serial") != value || got.get("size") != "1G" || got.get("") != "local:disk" {
			t.Errorf("%q is read back as %v", value, got)
		}
	})
}

// FuzzSSHKeys shows that keys are read back as they were given, each one line.
func FuzzSSHKeys(f *testing.F) {
	f.Add("ssh-ed25519 AAAA", "b c")
	f.Add("a%0Ab", "+")
	f.Add("a\nb", "")
	f.Fuzz(func(t *testing.T, a, b string) {
		text, err := encodeSSHKeys([]string{a, b})
		if err != nil {
			return
		}
		if strings.ContainsAny(text, "+,= \n") {
			t.Errorf("%q holds more than percent-encoding has", text)
		}
		back, err := url.PathUnescape(text)
		if err != nil || !slices.Equal(strings.Split(back, "\n"), []string{a, b}) {
			t.Errorf("%q, %q are read back as %q, %v", a, b, back, err)
		}
	})
}

// FuzzNetworkRef shows that a reference never becomes more than bridge and tag.
func FuzzNetworkRef(f *testing.F) {
	f.Add("vmbr0", "52:54:00:00:00:01")
	f.Add("vmbr0.20", "52-54-00-00-00-01")
	f.Add("vmbr0,firewall=0", "x")
	f.Fuzz(func(t *testing.T, ref, mac string) {
		n, ok := newNIC(providers.NIC{MAC: mac, Network: models.NetworkBinding{Ref: ref}})
		if !ok {
			return
		}
		text, err := n.encode()
		if err != nil {
			t.Fatalf("%q, %q was taken and cannot be written: %v", ref, mac, err)
		}
		got, ok := parseNICConfig(text)
		if !ok || got.network != n.network || got.mac != n.mac || len(got.rest) > 0 {
			t.Errorf("%q, %q is read back as %+v", ref, mac, got)
		}
	})
}
