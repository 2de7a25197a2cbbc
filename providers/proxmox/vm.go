package proxmox

import (
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// FindVM reads a VM's configuration and power, and asks the guest agent for its
// addresses where there is one.
func (p *Provider) FindVM(ctx context.Context, vmID string) (providers.VM, error) {
	const op = "FindVM"
	m, err := p.settled(ctx, op, vmID)
	switch {
	case err != nil:
		return providers.VM{}, err
	case m == nil:
		return providers.VM{}, notFound(op)
	}
	vm := m.shown()
	if vm.Power == models.PowerRunning && hasAgent(m.Config) {
		if vm.Addresses, err = p.addresses(ctx, op, m); err != nil {
			return providers.VM{}, err
		}
	}
	return vm, nil
}

// shown is the VM as the contract has it, without its addresses.
func (m *machine) shown() providers.VM {
	key := rootKey(m.Config)
	root, _ := parseDiskConfig(m.Config[key])
	vm := providers.VM{
		VMID: m.Mark.VMID, Ref: refOf(m.VMID), Name: m.Mark.Name, Node: m.Node, Power: m.power(),
		Incomplete: m.Mark.Making || m.Mark.Deleting || key == "",
		VCPUs:      max(1, number(m.Config["sockets"])) * max(1, number(m.Config["cores"])),
		MemoryMiB:  number(parseMemory(m.Config["memory"])),
		DiskGiB:    root.sizeGiB(),
		DataDisks:  m.dataDisks(),
		Addresses:  noAddresses(m.power()),
	}
	for _, key := range keysOf(m.Config, "net") {
		if nic, ok := parseNICConfig(m.Config[key]); ok {
			vm.MACs = append(vm.MACs, nic.mac)
		}
	}
	return vm
}

// noAddresses says that a VM has none where it does not run, and else that they
// were not read.
func noAddresses(state models.PowerState) []models.Address {
	if state == models.PowerStopped || state == models.PowerSuspended {
		return []models.Address{}
	}
	return nil
}

// parseMemory returns the MiB of "2048" or "current=2048".
func parseMemory(value string) string {
	ps := parseProperties(value)
	if current := ps.get("current"); current != "" {
		return current
	}
	return ps.get("")
}

func number(s string) int {
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		return 0
	}
	return n
}

func hasAgent(config map[string]string) bool {
	ps := parseProperties(config["agent"])
	return ps.get("") == "1" || ps.get("enabled") == "1"
}

// agentWait is how long a guest agent may take to tell the addresses: one that is
// not there yet must not hold up a read.
const agentWait = 3 * time.Second

// addresses asks the guest agent. One that does not answer is no error: a guest
// without its agent has addresses that we do not know.
func (p *Provider) addresses(ctx context.Context, op string, m *machine) ([]models.Address, *providers.Error) {
	bounded, cancel := context.WithTimeout(ctx, agentWait)
	defer cancel()
	var answer struct {
		Result []struct {
			MAC       string `json:"hardware-address"`
			Addresses []struct {
				Address string `json:"ip-address"`
			} `json:"ip-addresses"`
		} `json:"result"`
	}
	if err := p.get(bounded, op, vmPath(m, "agent/network-get-interfaces"), nil, &answer); err != nil {
		if ctx.Err() != nil || hasCode(err, providers.Unauthenticated) {
			return nil, err
		}
		return nil, nil
	}
	known := m.shown().MACs
	out := []models.Address{}
	for _, i := range answer.Result {
		for _, a := range i.Addresses {
			if address, ok := guestAddress(i.MAC, a.Address, known); ok {
				out = append(out, address)
			}
		}
	}
	return out, nil
}

// guestAddress is an address that the agent tells of, if others can reach it and
// it is of an interface that the VM has: not a bridge's inside the guest.
func guestAddress(mac, ip string, known []string) (models.Address, bool) {
	mac = strings.ToLower(mac)
	a, err := netip.ParseAddr(ip)
	if err != nil || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || !slices.Contains(known, mac) {
		return models.Address{}, false
	}
	return models.Address{MAC: mac, IP: a.WithZone("").String()}, true
}
