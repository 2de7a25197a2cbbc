package libvirttest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"
)

// dialed hands go-libvirt a connection that is dialled already.
type dialed struct{ conn net.Conn }

func (d dialed) Dial() (net.Conn, error) { return d.conn, nil }

// Client connects to the daemon beside the adapter, to look or to meddle. It
// ends with ctx; the caller may also call end.
func (s *Server) Client(ctx context.Context) (c *lv.Libvirt, end func(), err error) {
	return s.connect(ctx, lv.QEMUSystem)
}

// MockClient is Client for libvirt's mock driver. What is made there lasts until
// the last connection to it has ended.
func (s *Server) MockClient(ctx context.Context) (c *lv.Libvirt, end func(), err error) {
	return s.connect(ctx, lv.TestDefault)
}

func (s *Server) connect(ctx context.Context, uri lv.ConnectURI) (c *lv.Libvirt, end func(), err error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", s.socket)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	c = lv.NewWithDialer(dialed{conn})
	if err := c.ConnectToURI(uri); err != nil {
		stop()
		_ = conn.Close()
		return nil, nil, errors.Join(err, ctx.Err())
	}
	return c, func() { stop(); _ = conn.Close() }, nil
}

func (s *Server) waitServing(ctx context.Context) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		_, end, err := s.Client(ctx)
		if err == nil {
			end()
			return nil
		}
		select {
		case <-s.daemon.done:
			return errors.New("libvirtd ended at once")
		case <-ctx.Done():
			return fmt.Errorf("libvirtd does not answer: %w", err)
		case <-tick.C:
		}
	}
}

// furnish makes pool and network. Both start with the daemon, so that they are
// there again after a restart.
func (s *Server) furnish(ctx context.Context) error {
	c, end, err := s.Client(ctx)
	if err != nil {
		return err
	}
	defer end()
	doc, err := (&libvirtxml.StoragePool{
		Type: "dir", Name: s.Pool, Target: &libvirtxml.StoragePoolTarget{Path: s.PoolDir},
	}).Marshal()
	if err != nil {
		return err
	}
	pool, err := c.StoragePoolDefineXML(doc, 0)
	if err != nil {
		return fmt.Errorf("storage pool: %w", err)
	}
	if err := errors.Join(c.StoragePoolCreate(pool, 0), c.StoragePoolSetAutostart(pool, 1)); err != nil {
		return fmt.Errorf("storage pool: %w", err)
	}
	if doc, err = s.networkXML(); err != nil {
		return err
	}
	network, err := c.NetworkDefineXML(doc)
	if err != nil {
		return fmt.Errorf("network: %w", err)
	}
	if err := errors.Join(c.NetworkCreate(network), c.NetworkSetAutostart(network, 1)); err != nil {
		return fmt.Errorf("network: %w", err)
	}
	return nil
}

// networkXML describes the network. That of a peer is the bridge of the first.
func (s *Server) networkXML() (string, error) {
	n := libvirtxml.Network{
		Name:    s.Network,
		Bridge:  &libvirtxml.NetworkBridge{Name: s.Bridge},
		Forward: &libvirtxml.NetworkForward{Mode: "bridge"},
	}
	if s.first == nil {
		n.Forward.Mode = "nat"
		n.IPs = []libvirtxml.NetworkIP{{
			Address: s.Subnet + "1", Prefix: 24,
			DHCP: &libvirtxml.NetworkDHCP{Ranges: []libvirtxml.NetworkDHCPRange{{Start: s.Subnet + "10", End: s.Subnet + "200"}}},
		}}
	}
	return n.Marshal()
}

// unfurnish takes down the network, whose bridge and firewall rules would
// outlive the daemon. A test may have left the daemon dead or frozen.
func (s *Server) unfurnish(ctx context.Context) error {
	err := s.revive(ctx)
	if err == nil {
		err = s.destroyNetwork(ctx)
	}
	if err == nil || s.first != nil {
		return err
	}
	ip, toolErr := findTool("ip")
	if toolErr != nil {
		return errors.Join(err, toolErr)
	}
	if _, lookErr := net.InterfaceByName(s.Bridge); lookErr == nil {
		linkErr := exec.CommandContext(ctx, ip, "link", "delete", s.Bridge).Run() //nolint:gosec // the name is ours
		return errors.Join(err, linkErr)
	}
	return err
}

func (s *Server) revive(ctx context.Context) error {
	if s.daemon == nil {
		return s.Restart(ctx)
	}
	return s.Thaw()
}

func (s *Server) destroyNetwork(ctx context.Context) error {
	c, end, err := s.Client(ctx)
	if err != nil {
		return err
	}
	defer end()
	networks, _, err := c.ConnectListAllNetworks(1, lv.ConnectListNetworksActive)
	if err != nil {
		return err
	}
	for _, n := range networks {
		if err := c.NetworkDestroy(n); err != nil {
			return err
		}
	}
	return nil
}
