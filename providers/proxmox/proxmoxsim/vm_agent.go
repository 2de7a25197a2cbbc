package proxmoxsim

import (
	"fmt"
	"net"
	"strconv"
	"strings"
)

// agent runs a command in a guest whose agent answers, and returns what it says.
func (c *call) agent(command func(g *guest) any) (any, error) {
	var out any
	err := c.edit(func(g *guest) error {
		enabled, _ := truthOf(c.server.facts.properties("agent", g.Config["agent"])["enabled"])
		switch {
		case !enabled:
			return failed("No QEMU guest agent configured")
		case !g.isRunning():
			return failed("VM " + strconv.Itoa(g.VMID) + " is not running")
		case !g.Agent:
			return failed("QEMU guest agent is not running")
		}
		out = map[string]any{"result": command(g)}
		return nil
	})
	return out, err
}

func (c *call) agentPing() (any, error) {
	return c.agent(func(*guest) any { return map[string]any{} })
}

// agentInterfaces are the guest's interfaces: its loopback, those that it was
// started with, and a bridge that it has inside. An interface without an address
// of cloud-init's has one of its network's DHCP.
func (c *call) agentInterfaces() (any, error) {
	return c.agent(func(g *guest) any {
		out := []map[string]any{agentInterface("lo", "00:00:00:00:00:00", "127.0.0.1/8", "::1/128")}
		for i := range 32 {
			value := property(g.Effective["net"+strconv.Itoa(i)], "virtio")
			mac, err := net.ParseMAC(value)
			if err != nil {
				continue
			}
			told := g.Effective["ipconfig"+strconv.Itoa(i)]
			addresses := []string{fmt.Sprintf("fe80::%x:%x:%x/64", mac[3], mac[4], mac[5])}
			for _, key := range []string{"ip", "ip6"} {
				if address := property(told, key); strings.Contains(address, "/") {
					addresses = append(addresses, address)
				}
			}
			if len(addresses) == 1 {
				addresses = append(addresses, fmt.Sprintf("10.%d.%d.%d/8", mac[3], mac[4], mac[5]))
			}
			out = append(out, agentInterface("eth"+strconv.Itoa(i), mac.String(), addresses...))
		}
		return append(out, agentInterface("docker0", "02:42:00:00:00:01", "172.17.0.1/16"))
	})
}

// agentInterface is one interface as the agent describes it.
func agentInterface(name, mac string, addresses ...string) map[string]any {
	listed := make([]map[string]any, len(addresses))
	for i, address := range addresses {
		ip, length, _ := strings.Cut(address, "/")
		family := "ipv4"
		if strings.Contains(ip, ":") {
			family = "ipv6"
		}
		listed[i] = map[string]any{"ip-address": ip, "ip-address-type": family, "prefix": atoi(length)}
	}
	return map[string]any{
		"name": name, "hardware-address": mac, "ip-addresses": listed,
		"statistics": map[string]any{"rx-bytes": 0, "rx-packets": 0, "tx-bytes": 0, "tx-packets": 0},
	}
}
