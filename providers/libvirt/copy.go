package libvirt

import (
	"context"
	"io"
	"strings"
	"sync"

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
//   - Before it, a tiny volume "...-copy-<nonce>" is made; the process whose call
//     succeeded removes it. While there is such a volume the root disk is not
//     whole, whoever looks.
//   - libvirt refuses to read a volume that is still being made. So a marker
//     beside a volume that can be read, or beside none, is a copy that died.
//     CreateVM then begins anew, with another nonce: a process that comes back
//     late removes its own marker, never that of the new copy.
//
// A process that dies leaves a copy that libvirtd completes, but whose success
// nobody saw. It counts as dead and is made again.

// copies are the copies that this process has at work or has seen fail.
type copies struct {
	mu      sync.Mutex
	closed  bool
	work    sync.WaitGroup
	running map[string]*copyRun // by VM ID
}

type copyRun struct {
	ended bool
	err   error
}

// begin reports false when the VM is being copied already, or after close.
func (c *copies) begin(vmID string) (*copyRun, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.running[vmID]; c.closed || (old != nil && !old.ended) {
		return nil, false
	}
	if c.running == nil {
		c.running = map[string]*copyRun{}
	}
	run := &copyRun{}
	c.running[vmID] = run
	c.work.Add(1)
	return run, true
}

// end must follow a begin that reported true.
func (c *copies) end(vmID string, run *copyRun, err error) {
	defer c.work.Done()
	c.mu.Lock()
	defer c.mu.Unlock()
	run.ended, run.err = true, err
	if err == nil {
		delete(c.running, vmID)
	}
}

// look returns what this process knows of a copy.
func (c *copies) look(vmID string) (running bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	run := c.running[vmID]
	if run == nil {
		return false, nil
	}
	return !run.ended, run.err
}

// forget drops what is remembered of a failed copy.
func (c *copies) forget(vmID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if run := c.running[vmID]; run != nil && run.ended {
		delete(c.running, vmID)
	}
}

func (c *copies) close() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
}

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

// copyState reads how the copy of a VM's root disk stands.
func (p *Provider) copyState(ctx context.Context, r rpc, vmID string) (copyStatus, error) {
	// What this process knows is read first: its copy may end meanwhile.
	running, failed := p.copies.look(vmID)
	volumes, err := p.ourVolumes(ctx, r, vmID)
	if err != nil {
		return copyStatus{}, err
	}
	st := copyStatus{err: failed}
	prefix := p.cfg.volumePrefix(vmID)
	for i, v := range volumes {
		switch part := strings.TrimPrefix(v.Name, prefix); {
		case part == rootDisk:
			st.root = &volumes[i]
		case strings.HasPrefix(part, copyMark):
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
// the volume, and says so by no other means.
func (p *Provider) isBuilding(ctx context.Context, r rpc, v lv.StorageVol) (bool, error) {
	err := run(ctx, r, func(c *lv.Libvirt) error { return c.StorageVolDownload(v, io.Discard, 0, 1, 0) })
	switch {
	case hasCode(err, providers.Aborted):
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

// ensureCopy begins the full copy unless it is at work or done. task is empty
// when the disk is whole.
func (p *Provider) ensureCopy(
	ctx context.Context, r rpc, req providers.CreateVMRequest, pool lv.StoragePool, image lv.StorageVol, facts volumeFacts,
) (path string, task providers.TaskRef, err error) {
	st, err := p.copyState(ctx, r, req.VMID)
	if err != nil {
		return "", "", err
	}
	dir, err := poolPath(ctx, r, pool)
	if err != nil {
		return "", "", err
	}
	path = dir + "/" + p.cfg.volumeName(req.VMID, rootDisk)
	if st.phase == copyRunning {
		return path, copyTask(req.VMID), nil
	}
	if st.phase == copyNone && st.root != nil {
		f, err := describeVolume(ctx, r, *st.root)
		if err != nil {
			return "", "", r.contended(err)
		}
		if rootIsWhole(f, req, facts) {
			return path, "", nil
		}
	}
	work, ok := p.copies.begin(req.VMID)
	if !ok {
		return path, copyTask(req.VMID), p.ready(ctx, r)
	}
	marker, err := p.clearForCopy(ctx, r, req, pool, st)
	if err != nil {
		p.copies.end(req.VMID, work, nil)
		return "", "", err
	}
	go func(ctx context.Context) {
		p.copies.end(req.VMID, work, p.copyImage(ctx, req, pool, image, marker))
	}(context.WithoutCancel(ctx))
	return path, copyTask(req.VMID), nil
}

// clearForCopy makes the new marker before it removes anything, so that at no
// moment a half-made disk looks whole.
func (p *Provider) clearForCopy(ctx context.Context, r rpc, req providers.CreateVMRequest, pool lv.StoragePool, st copyStatus) (lv.StorageVol, error) {
	marker, err := createVolume(ctx, r, pool, libvirtxml.StorageVolume{
		Name:     p.cfg.volumeName(req.VMID, copyMark+uuid.NewString()),
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
func (p *Provider) copyImage(ctx context.Context, req providers.CreateVMRequest, pool lv.StoragePool, image, marker lv.StorageVol) error {
	r := rpc{link: p.link, op: "CreateVM", timeout: p.cfg.copyTimeout}
	x := rootVolume(p.cfg.volumeName(req.VMID, rootDisk), req, volumeFacts{})
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
