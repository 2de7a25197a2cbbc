package libvirt

import (
	"context"
	"strings"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// A domain that runs has two descriptions: what runs, and what the next start
// makes. A device is put into, and taken out of, each where it lacks or has it:
// so a change that broke off in between is completed by the next call.

// devices are the two descriptions of a domain.
type devices struct {
	domain
	live   *libvirtxml.Domain // nil for one that is off
	config libvirtxml.Domain
}

// pluggable reads a VM's devices. FailedPrecondition for a VM that neither runs
// nor is off: a guest that is stopped cannot let go of a device, and a saved
// memory knows those that it had.
func (p *Provider) pluggable(ctx context.Context, r rpc, vmID string) (devices, error) {
	d, state, err := p.findPower(ctx, r, vmID)
	if err != nil {
		return devices{}, err
	}
	if state != models.PowerRunning && state != models.PowerStopped {
		return devices{}, r.errorf(providers.FailedPrecondition, "devices of a VM can be changed while it runs or is off")
	}
	return p.devicesOf(ctx, r, d, state == models.PowerRunning)
}

func (p *Provider) devicesOf(ctx context.Context, r rpc, d domain, active bool) (devices, error) {
	out := devices{domain: d}
	read := func(flags lv.DomainXMLFlags, x *libvirtxml.Domain) error {
		doc, err := do(ctx, r, func(c *lv.Libvirt) (string, error) { return c.DomainGetXMLDesc(d.Domain, flags) })
		if err != nil {
			return err
		}
		if err := x.Unmarshal(doc); err != nil {
			return r.fail(err)
		}
		if x.Devices == nil {
			x.Devices = &libvirtxml.DomainDeviceList{}
		}
		return nil
	}
	if active {
		out.live = new(libvirtxml.Domain)
		if err := read(0, out.live); err != nil {
			return out, err
		}
	}
	return out, read(lv.DomainXMLInactive, &out.config)
}

// device picks one device out of a description. alias is libvirt's name for the
// device of a running VM.
type device func(*libvirtxml.DomainDeviceList) (found bool, alias string, marshal func() (string, error))

func alias(a *libvirtxml.DomainAlias) string {
	if a == nil {
		return ""
	}
	return a.Name
}

// isDisk picks a data disk.
func (p *Provider) isDisk(vmID, diskID string) device {
	suffix := "/" + p.cfg.dataName(vmID, diskID)
	return func(list *libvirtxml.DomainDeviceList) (bool, string, func() (string, error)) {
		for _, disk := range list.Disks {
			if disk.Source != nil && disk.Source.File != nil && strings.HasSuffix(disk.Source.File.File, suffix) {
				return true, alias(disk.Alias), disk.Marshal
			}
		}
		return false, "", nil
	}
}

// isNIC picks an interface.
func isNIC(mac string) device {
	return func(list *libvirtxml.DomainDeviceList) (bool, string, func() (string, error)) {
		for _, nic := range list.Interfaces {
			if nic.MAC != nil && strings.EqualFold(nic.MAC.Address, mac) {
				return true, alias(nic.Alias), nic.Marshal
			}
		}
		return false, "", nil
	}
}

// has reports whether either description has the device.
func (d devices) has(is device) bool {
	inConfig, _, _ := is(d.config.Devices)
	return inConfig || d.runsWith(is)
}

func (d devices) runsWith(is device) bool {
	if d.live == nil {
		return false
	}
	found, _, _ := is(d.live.Devices)
	return found
}

// attach puts a device where it is lacking.
func attach(ctx context.Context, r rpc, d devices, is device, doc string) error {
	inConfig, _, _ := is(d.config.Devices)
	flags := lv.DomainAffectCurrent
	if !inConfig {
		flags |= lv.DomainAffectConfig
	}
	if d.live != nil && !d.runsWith(is) {
		flags |= lv.DomainAffectLive
	}
	if flags == lv.DomainAffectCurrent {
		return nil
	}
	return run(ctx, r, func(c *lv.Libvirt) error {
		return c.DomainAttachDeviceFlags(d.Domain, doc, uint32(flags)) //nolint:gosec // small constants
	})
}

// detach takes a device out of the definition, and asks the guest to let go of
// it. asked says that it was asked: QEMU removes the device when it has.
func detach(ctx context.Context, r rpc, d devices, is device) (asked bool, err error) {
	if found, _, marshal := is(d.config.Devices); found {
		doc, err := marshal()
		if err != nil {
			return false, r.fail(err)
		}
		err = run(ctx, r, func(c *lv.Libvirt) error {
			return c.DomainDetachDeviceFlags(d.Domain, doc, uint32(lv.DomainAffectConfig))
		})
		if err != nil && !isNotFound(err) {
			return false, err
		}
	}
	if d.live == nil {
		return false, nil
	}
	found, name, _ := is(d.live.Devices)
	if !found {
		return false, nil
	}
	// By its alias libvirt does not wait for the guest.
	err = run(ctx, r, func(c *lv.Libvirt) error {
		return c.DomainDetachDeviceAlias(d.Domain, name, uint32(lv.DomainAffectLive))
	})
	if isNotFound(err) {
		return false, nil // the guest let go of it just now
	}
	return err == nil, err
}

// pollDetach is done when neither description has the device.
func (p *Provider) pollDetach(ctx context.Context, r rpc, vmID string, is device) (providers.TaskStatus, error) {
	d, state, err := p.findPower(ctx, r, vmID)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	now, err := p.devicesOf(ctx, r, d, state == models.PowerRunning || state == models.PowerPaused)
	if err != nil {
		return providers.TaskStatus{}, err
	}
	if now.has(is) {
		return providers.TaskStatus{}, nil
	}
	return providers.TaskStatus{Done: true, Progress: 100}, nil
}
