package libvirt

import (
	"bytes"
	"context"
	"strings"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// ourVolumes returns the volumes of a VM in all active pools: the option "pool"
// may have changed since the VM was made. Those of all VMs for no VM ID.
func (p *Provider) ourVolumes(ctx context.Context, r rpc, vmID string) ([]lv.StorageVol, error) {
	pools, err := activePools(ctx, r)
	if err != nil {
		return nil, err
	}
	prefix := p.cfg.volumePrefix(vmID)
	if vmID == "" {
		prefix = namePrefix
	}
	var out []lv.StorageVol
	for _, pool := range pools {
		volumes, err := listVolumes(ctx, r, pool)
		if err != nil {
			return nil, err
		}
		for _, v := range volumes {
			if strings.HasPrefix(v.Name, prefix) {
				out = append(out, v)
			}
		}
	}
	return out, nil
}

func lookupVolume(ctx context.Context, r rpc, pool lv.StoragePool, name string) (lv.StorageVol, error) {
	return do(ctx, r, func(c *lv.Libvirt) (lv.StorageVol, error) { return c.StorageVolLookupByName(pool, name) })
}

func deleteVolume(ctx context.Context, r rpc, v lv.StorageVol) error {
	err := run(ctx, r, func(c *lv.Libvirt) error { return c.StorageVolDelete(v, 0) })
	if isNotFound(err) {
		return nil
	}
	return err
}

// createVolume makes a volume of ours. A name that is taken or has gone means
// that another process works on the same VM: Aborted, to be tried again.
func createVolume(ctx context.Context, r rpc, pool lv.StoragePool, x libvirtxml.StorageVolume) (lv.StorageVol, error) {
	doc, err := x.Marshal()
	if err != nil {
		return lv.StorageVol{}, r.fail(err)
	}
	v, err := do(ctx, r, func(c *lv.Libvirt) (lv.StorageVol, error) { return c.StorageVolCreateXML(pool, doc, 0) })
	return v, r.contended(err)
}

// contended turns a conflict over a volume of ours into Aborted.
func (r rpc) contended(err error) error {
	if hasCode(err, providers.AlreadyExists, providers.NotFound) {
		return &providers.Error{Code: providers.Aborted, Provider: Kind, Op: r.op, Message: "the VM is being worked on by somebody else", Err: err}
	}
	return err
}

// rootVolume describes a VM's root disk. A linked clone names the image as its
// backing file, and that file's declared format.
func rootVolume(name string, req providers.CreateVMRequest, image volumeFacts) libvirtxml.StorageVolume {
	x := libvirtxml.StorageVolume{
		Name:     name,
		Capacity: &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: rootSize(req)},
		Target:   &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: "qcow2"}, Compat: "1.1"},
	}
	if req.Image.CloneMode == models.CloneLinked {
		x.BackingStore = &libvirtxml.StorageVolumeBackingStore{
			Path: image.path, Format: &libvirtxml.StorageVolumeTargetFormat{Type: req.Image.Format},
		}
	}
	return x
}

func rootSize(req providers.CreateVMRequest) uint64 {
	return uint64(req.DiskGiB) * gib //nolint:gosec // checked to be positive
}

// rootIsWhole reports whether a root disk is what CreateVM makes. qemu-img
// writes size and backing file last, so a clone whose making died lacks one.
func rootIsWhole(f volumeFacts, req providers.CreateVMRequest, image volumeFacts) bool {
	want := ""
	if req.Image.CloneMode == models.CloneLinked {
		want = image.path
	}
	return f.format == "qcow2" && f.capacity == rootSize(req) && f.backing == want
}

// ensureClone makes the linked clone unless a whole one is there.
func (p *Provider) ensureClone(ctx context.Context, r rpc, req providers.CreateVMRequest, name string, pool lv.StoragePool, image volumeFacts) (path string, err error) {
	v, err := lookupVolume(ctx, r, pool, name)
	if err == nil {
		f, err := describeVolume(ctx, r, v)
		if err != nil {
			return "", r.contended(err)
		}
		if rootIsWhole(f, req, image) {
			return f.path, nil
		}
		if err := deleteVolume(ctx, r, v); err != nil {
			return "", err
		}
	} else if !isNotFound(err) {
		return "", err
	}
	v, err = createVolume(ctx, r, pool, rootVolume(name, req, image))
	if err != nil {
		return "", err
	}
	return v.Key, nil // in a directory pool the key is the path
}

// makeSeed makes the NoCloud medium anew: it is small, and one that another
// attempt left could be half written.
func (p *Provider) makeSeed(ctx context.Context, r rpc, name string, pool lv.StoragePool, iso []byte) (path string, err error) {
	old, err := lookupVolume(ctx, r, pool, name)
	if err == nil {
		err = deleteVolume(ctx, r, old)
	} else if isNotFound(err) {
		err = nil
	}
	if err != nil {
		return "", err
	}
	size := &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: uint64(len(iso))}
	v, err := createVolume(ctx, r, pool, libvirtxml.StorageVolume{
		Name: name, Capacity: size, Allocation: size,
		Target: &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: "raw"}},
	})
	if err != nil {
		return "", err
	}
	if p.cfg.endpoint.driver == domainTest {
		return v.Key, nil // the mock driver has volumes without content
	}
	err = run(ctx, r, func(c *lv.Libvirt) error {
		return c.StorageVolUpload(v, bytes.NewReader(iso), 0, uint64(len(iso)), 0)
	})
	return v.Key, r.contended(err)
}

// poolPath returns the directory of a pool.
func poolPath(ctx context.Context, r rpc, pool lv.StoragePool) (string, error) {
	doc, err := do(ctx, r, func(c *lv.Libvirt) (string, error) { return c.StoragePoolGetXMLDesc(pool, 0) })
	if err != nil {
		return "", err
	}
	var x libvirtxml.StoragePool
	if err := x.Unmarshal(doc); err != nil {
		return "", r.fail(err)
	}
	if x.Target == nil || x.Target.Path == "" {
		return "", r.errorf(providers.FailedPrecondition, "the storage pool is not a directory")
	}
	return strings.TrimSuffix(x.Target.Path, "/"), nil
}
