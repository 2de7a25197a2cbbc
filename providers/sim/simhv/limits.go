package simhv

import (
	"net"
	"net/http"
	"net/netip"
	"slices"

	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// imageFits refuses a disk that cannot be made from the image.
func imageFits(image string, diskGiB int) error {
	all := knownImages()
	i := slices.IndexFunc(all, func(i wire.Image) bool { return i.Name == image })
	if i < 0 {
		return &apiError{status: http.StatusNotFound, Code: wire.CodeNoImage, Message: "no such image"}
	}
	if diskGiB < all[i].SizeGiB {
		return invalid("the disk is smaller than the image")
	}
	return nil
}

func validNICs(nics ...wire.NIC) error {
	for _, n := range nics {
		if _, err := net.ParseMAC(n.MAC); err != nil {
			return invalid("a MAC address is malformed")
		}
		if _, err := netip.ParseAddr(n.IP); n.IP != "" && err != nil {
			return invalid("an IP address is malformed")
		}
		if !slices.Contains(knownNetworks(), n.Network) {
			return &apiError{status: http.StatusNotFound, Code: wire.CodeNoNetwork, Message: "no such network"}
		}
	}
	return nil
}

// room refuses a VM that its node cannot take.
func (s *Server) room(r createVM) error {
	n := s.state.nodes[r.Node]
	if n == nil {
		return &apiError{status: http.StatusNotFound, Code: wire.CodeNoNode, Message: "no such node"}
	}
	if err := n.usable(); err != nil {
		return err
	}
	if r.VCPUs > n.VCPUs || s.state.shortOf(n.Name, r.VCPUs, r.MemoryMiB) != "" {
		return full()
	}
	return nil
}

func full() *apiError {
	return &apiError{status: http.StatusInsufficientStorage, Code: wire.CodeNoCapacity, Message: "the node is full"}
}

// usable refuses work that needs the node.
func (n *nodeRecord) usable() error {
	switch n.State {
	case simadmin.NodeDown:
		return &apiError{status: http.StatusServiceUnavailable, Code: wire.CodeNodeDown, Message: "the node is down"}
	case simadmin.NodeMaintenance:
		return &apiError{status: http.StatusConflict, Code: wire.CodeMaintenance, Message: "the node is in maintenance"}
	}
	return nil
}
