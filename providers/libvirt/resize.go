package libvirt

import (
	"context"
	"strconv"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// ResizeVM changes the definition of a VM that is off, and then the size of its
// root disk, which has no way back. It is done when it returns.
func (p *Provider) ResizeVM(ctx context.Context, t providers.Target, to providers.Shape) (providers.TaskRef, error) {
	r := p.rpc("ResizeVM")
	if err := p.offers(r, models.CapResize); err != nil {
		return "", err
	}
	if to.VCPUs < 1 || to.MemoryMiB < 1 || to.DiskGiB < 1 || to.VCPUs > 1<<15 || to.MemoryMiB > 1<<30 || to.DiskGiB > 1<<20 {
		return "", r.errorf(providers.InvalidArgument, "vCPUs, memory and disk must be positive and within reason")
	}
	d, state, err := p.findPower(ctx, r, t.VMID)
	if err != nil {
		return "", err
	}
	doc, err := definition(ctx, r, d.Domain)
	if err != nil {
		return "", err
	}
	root, err := lookupRoot(ctx, r, d)
	if err != nil {
		return "", err
	}
	reshaped, grown := doc.hasShape(to), root.capacity >= diskBytes(to)
	if reshaped && grown {
		return "", nil
	}
	if state != models.PowerStopped {
		return "", r.errorf(providers.FailedPrecondition, "the VM has to be off to be resized")
	}
	if !reshaped {
		if err := p.reshape(ctx, r, d.Domain, doc, to); err != nil {
			return "", err
		}
	}
	if !grown {
		return "", grow(ctx, r, d, root, to)
	}
	return "", nil
}

// reshape defines the domain with another number of CPUs and size of memory.
func (p *Provider) reshape(ctx context.Context, r rpc, dom lv.Domain, doc *document, to providers.Shape) error {
	if err := doc.setShape(to); err != nil {
		return r.fail(err)
	}
	if err := redefine(ctx, r, doc); err != nil {
		return err
	}
	after, err := definition(ctx, r, dom)
	if err != nil {
		return err
	}
	if !after.hasShape(to) {
		return r.mismatch()
	}
	return nil
}

// The elements of a definition's size. libvirt writes memory in KiB.
const (
	elementCPUs       = "vcpu"
	elementMemory     = "memory"
	elementMemoryThen = "currentMemory"
)

func (d *document) hasShape(to providers.Shape) bool {
	text := func(name string) string { return strings.TrimSpace(d.content(d.root.child("", name))) }
	memory := strconv.Itoa(to.MemoryMiB * 1024)
	current := text(elementMemoryThen)
	return text(elementCPUs) == strconv.Itoa(to.VCPUs) && text(elementMemory) == memory && (current == "" || current == memory)
}

func (d *document) setShape(to providers.Shape) error {
	if err := d.setText(d.root.child("", elementCPUs), strconv.Itoa(to.VCPUs)); err != nil {
		return err
	}
	memory := strconv.Itoa(to.MemoryMiB * 1024)
	for _, name := range []string{elementMemory, elementMemoryThen} {
		e := d.root.child("", name)
		if e == nil && name == elementMemoryThen {
			continue
		}
		if unit := e.attr("unit"); unit != "KiB" && unit != "" {
			return errNoElement
		}
		if err := d.setText(e, memory); err != nil {
			return err
		}
	}
	return nil
}

// rootVolumeNow is a VM's root disk and its size in bytes.
type rootVolumeNow struct {
	volume   lv.StorageVol
	capacity uint64
}

func lookupRoot(ctx context.Context, r rpc, d domain) (rootVolumeNow, error) {
	root, err := do(ctx, r, func(c *lv.Libvirt) (rootVolumeNow, error) {
		v, err := c.StorageVolLookupByPath(d.rootPath)
		if err != nil {
			return rootVolumeNow{}, err
		}
		_, capacity, _, err := c.StorageVolGetInfo(v)
		return rootVolumeNow{v, capacity}, err
	})
	if isNotFound(err) {
		return root, r.errorf(providers.FailedPrecondition, "a part of the VM is missing on the hypervisor")
	}
	return root, err
}

func grow(ctx context.Context, r rpc, d domain, root rootVolumeNow, to providers.Shape) error {
	err := run(ctx, r, func(c *lv.Libvirt) error { return c.StorageVolResize(root.volume, diskBytes(to), 0) })
	if err != nil {
		return err
	}
	after, err := lookupRoot(ctx, r, d)
	if err == nil && after.capacity < diskBytes(to) {
		return r.mismatch()
	}
	return err
}

func diskBytes(s providers.Shape) uint64 {
	return uint64(s.DiskGiB) * gib //nolint:gosec // checked to be positive
}

var _ providers.Resizer = (*Provider)(nil)
