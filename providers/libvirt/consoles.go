package libvirt

import (
	"context"
	"io"
	"slices"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// consoleCapabilities are the consoles that the driver has.
func (p *Provider) consoleCapabilities() []models.Capability {
	if p.cfg.endpoint.driver == domainTest {
		return nil
	}
	return []models.Capability{models.CapConsoleVNC, models.CapConsoleSerial}
}

// Consoles tells which consoles the VM's domain has.
func (p *Provider) Consoles(ctx context.Context, t providers.Target) (providers.ConsoleInfo, error) {
	_, x, err := p.consoles(ctx, p.rpc("Consoles"), t.VMID)
	return providers.ConsoleInfo{Types: consoleTypes(x)}, err
}

// OpenConsole connects to the screen or the serial line. Who opens the serial
// line takes it over: it has one reader at a time.
func (p *Provider) OpenConsole(ctx context.Context, t providers.Target, typ models.ConsoleType) (io.ReadWriteCloser, error) {
	r := p.rpc("OpenConsole")
	d, x, err := p.consoles(ctx, r, t.VMID)
	if err != nil {
		return nil, err
	}
	if !slices.Contains(consoleTypes(x), typ) {
		return nil, r.errorf(providers.Unimplemented, "the VM has no console of this type")
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if typ == models.ConsoleVNC {
		return p.openScreen(ctx, r, d, x)
	}
	return p.openSerial(ctx, r, d)
}

// consoles reads the live description of a VM that runs, with its secrets.
func (p *Provider) consoles(ctx context.Context, r rpc, vmID string) (domain, libvirtxml.Domain, error) {
	var x libvirtxml.Domain
	d, err := p.find(ctx, r, vmID)
	if err != nil {
		return d, x, err
	}
	if p.cfg.endpoint.driver == domainTest {
		return d, x, r.errorf(providers.Unimplemented, "not supported by this hypervisor")
	}
	state, err := power(ctx, r, d.Domain)
	if err != nil {
		return d, x, err
	}
	if state != models.PowerRunning {
		return d, x, r.errorf(providers.FailedPrecondition, "the VM does not run")
	}
	doc, err := do(ctx, r, func(c *lv.Libvirt) (string, error) { return c.DomainGetXMLDesc(d.Domain, lv.DomainXMLSecure) })
	if err != nil {
		return d, x, err
	}
	if err := x.Unmarshal(doc); err != nil {
		// The cause is left out: it could quote the password.
		return d, x, r.errorf(providers.Internal, "the VM's description cannot be read")
	}
	return d, x, nil
}

// consoleTypes are those of a live domain, best first.
func consoleTypes(x libvirtxml.Domain) []models.ConsoleType {
	var out []models.ConsoleType
	if vncOf(x) != nil {
		out = append(out, models.ConsoleVNC)
	}
	if x.Devices != nil && slices.ContainsFunc(x.Devices.Serials, func(s libvirtxml.DomainSerial) bool { return s.Source != nil && s.Source.Pty != nil }) {
		out = append(out, models.ConsoleWeb)
	}
	return out
}

// vncOf returns the VNC server of a live domain, nil if it has none that listens
// on TCP.
func vncOf(x libvirtxml.Domain) *libvirtxml.DomainGraphicVNC {
	if x.Devices == nil {
		return nil
	}
	for _, g := range x.Devices.Graphics {
		if g.VNC != nil && g.VNC.Port > 0 {
			return g.VNC
		}
	}
	return nil
}

var _ providers.Consoler = (*Provider)(nil)
