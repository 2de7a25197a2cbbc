package libvirt

import (
	"context"
	"io"
	"path"
	"strings"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/google/uuid"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// A full copy takes as long as the image is big, and libvirt makes it in one
// blocking call that it neither reports on nor remembers. So:
//
//   - The call runs in the background, on a connection of its own: libvirtd
//     serves only five calls of one client at a time.
//   - Before it, a tiny volume "...-copy-<nonce>" is made ("...-copy.<hash>-<nonce>" in a
//     rebuild); the process whose call
//     succeeded removes it. While there is such a volume the root disk is not
//     whole, whoever looks.
//   - libvirt refuses to read a volume that is still being made. So a marker
//     beside a volume that can be read, or beside none, is a copy that died.
//     CreateVM then begins anew, with another nonce: a process that comes back
//     late removes its own marker, never that of the new copy.
//
// A process that dies leaves a copy that libvirtd completes, but whose success
// nobody saw. It counts as dead and is made again.

// copyPhase is how a full copy stands.
type copyPhase int

const (
	copyNone    copyPhase = iota // there is no marker: whole, or never begun
	copyRunning                  // libvirt is at work
	copyDead                     // there is a marker, but nobody at work
)

type copyStatus struct {
	phase    copyPhase
	progress int
	err      error // why it failed, where this process knows
	markers  []lv.StorageVol
	root     *lv.StorageVol
}

// copyState reads how the copy of a VM's root disk, the volume named root, stands.
func (p *Provider) copyState(ctx context.Context, r rpc, vmID, root string) (copyStatus, error) {
	// What this process knows is read first: its copy may end meanwhile.
	running, failed := p.works.Look(copyTask(vmID, root))
	volumes, err := p.ourVolumes(ctx, r, vmID)
	if err != nil {
		return copyStatus{}, err
	}
	st := copyStatus{err: failed}
	marker := p.cfg.markerPrefix(vmID, root)
	for i, v := range volumes {
		switch {
		case v.Name == root:
			st.root = &volumes[i]
		case strings.HasPrefix(v.Name, marker):
			st.markers = append(st.markers, v)
		}
	}
	if len(st.markers) == 0 {
		return st, nil
	}
	st.phase = copyDead
	if running {
		st.phase = copyRunning
	}
	if st.root == nil {
		return st, nil
	}
	if st.phase != copyRunning {
		building, err := p.isBuilding(ctx, r, *st.root)
		if err != nil {
			return st, err
		}
		if !building {
			return st, nil
		}
	}
	st.phase = copyRunning
	st.progress, err = progress(ctx, r, *st.root)
	return st, err
}

// isBuilding asks for one byte of a volume: libvirt refuses while it still makes
// the volume, and says so by no other means. Where volumes cannot be read, a copy is
// taken for one at work: what is being made must not be made again.
func (p *Provider) isBuilding(ctx context.Context, r rpc, v lv.StorageVol) (bool, error) {
	err := run(ctx, r, func(c *lv.Libvirt) error { return c.StorageVolDownload(v, io.Discard, 0, 1, 0) })
	switch {
	case hasCode(err, providers.Aborted, providers.Unimplemented):
		return true, nil
	case isNotFound(err):
		return false, nil
	default:
		return false, err
	}
}

// progress is an estimate: a disk is seldom as full as it is big.
func progress(ctx context.Context, r rpc, v lv.StorageVol) (int, error) {
	percent, err := do(ctx, r, func(c *lv.Libvirt) (int, error) {
		_, capacity, allocation, err := c.StorageVolGetInfo(v)
		return int(min(99, allocation*100/max(capacity, 1))), err
	})
	if isNotFound(err) {
		return 0, nil
	}
	return percent, err
}

// copyStateOf is copyState for the root disk that a domain has.
func (p *Provider) copyStateOf(ctx context.Context, r rpc, d domain) (copyStatus, error) {
	return p.copyState(ctx, r, d.mark.VMID, path.Base(d.rootPath))
}

// ensureCopy begins the full copy unless it is at work or done. task is empty
// when the disk is whole.
func (p *Provider) ensureCopy(
	ctx context.Context, r rpc, req providers.CreateVMRequest, name string, pool lv.StoragePool, image rootSource,
) (rootPath string, task providers.TaskRef, err error) {
	st, err := p.copyState(ctx, r, req.VMID, name)
	if err != nil {
		return "", "", err
	}
	dir, err := poolPath(ctx, r, pool)
	if err != nil {
		return "", "", err
	}
	rootPath = dir + "/" + name
	if st.phase == copyRunning {
		return rootPath, copyTask(req.VMID, name), nil
	}
	if st.phase == copyNone && st.root != nil {
		f, err := describeVolume(ctx, r, *st.root)
		if err != nil {
			return "", "", r.contended(err)
		}
		if rootIsWhole(f, req, image.facts) {
			return rootPath, "", nil
		}
	}
	task = copyTask(req.VMID, name)
	end, ok := p.works.Begin(task, func() {})
	if !ok {
		return rootPath, task, p.ready(ctx, r)
	}
	marker, err := p.clearForCopy(ctx, r, p.cfg.markerPrefix(req.VMID, name)+uuid.NewString(), pool, st)
	if err != nil {
		end(nil)
		return "", "", err
	}
	go func(ctx context.Context) {
		end(p.copyImage(ctx, req, name, pool, image.volume, marker))
	}(context.WithoutCancel(ctx))
	return rootPath, task, nil
}

// clearForCopy makes the new marker before it removes anything, so that at no
// moment a half-made disk looks whole.
func (p *Provider) clearForCopy(ctx context.Context, r rpc, name string, pool lv.StoragePool, st copyStatus) (lv.StorageVol, error) {
	marker, err := createVolume(ctx, r, pool, libvirtxml.StorageVolume{
		Name:     name,
		Capacity: &libvirtxml.StorageVolumeSize{Unit: "bytes", Value: 1},
		Target:   &libvirtxml.StorageVolumeTarget{Format: &libvirtxml.StorageVolumeTargetFormat{Type: "raw"}},
	})
	if err != nil {
		return lv.StorageVol{}, err
	}
	if st.root != nil {
		if err := deleteVolume(ctx, r, *st.root); err != nil {
			return lv.StorageVol{}, err
		}
	}
	for _, old := range st.markers {
		if err := deleteVolume(ctx, r, old); err != nil {
			return lv.StorageVol{}, err
		}
	}
	return marker, nil
}

// copyImage copies, sets the size and removes the marker, in this order.
func (p *Provider) copyImage(ctx context.Context, req providers.CreateVMRequest, name string, pool lv.StoragePool, image, marker lv.StorageVol) error {
	r := rpc{link: p.link, op: "CreateVM", timeout: p.cfg.copyTimeout}
	x := rootVolume(name, req, volumeFacts{})
	doc, err := x.Marshal()
	if err != nil {
		return r.fail(err)
	}
	ctx, cancel := context.WithTimeout(ctx, p.cfg.copyTimeout)
	defer cancel()
	err = p.link.dedicated(ctx, func(c *lv.Libvirt) error {
		root, err := c.StorageVolCreateXMLFrom(pool, doc, image, 0)
		if err != nil {
			return err
		}
		_, capacity, _, err := c.StorageVolGetInfo(root)
		if err != nil {
			return err
		}
		if want := rootSize(req); capacity < want {
			if err := c.StorageVolResize(root, want, 0); err != nil {
				return err
			}
		}
		return c.StorageVolDelete(marker, 0)
	})
	if err != nil {
		return r.fail(err)
	}
	return nil
}
