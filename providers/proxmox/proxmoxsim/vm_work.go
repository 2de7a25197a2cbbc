package proxmoxsim

import (
	"context"
	"fmt"
	"strconv"
)

const modified = "detected modified configuration - file changed by other user? Try again."

// edit changes the guest of the path with Server.mu held.
func (c *call) edit(do func(g *guest) error) error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	g, err := c.guest()
	if err != nil {
		return err
	}
	return do(g)
}

// exclusively does work while holding the lock file of the path's guest.
func (c *call) exclusively(ctx context.Context, work func() error) error {
	unlock, err := c.server.lockGuest(ctx, c.vmid)
	if err != nil {
		return err
	}
	defer unlock()
	return work()
}

// task starts a worker about the path's guest, which holds the guest's lock file
// for as long as it works.
func (c *call) task(typ string, work func(w *worker) error) (any, error) {
	if err := c.writable(); err != nil {
		return nil, err
	}
	return c.server.spawn(c, typ, strconv.Itoa(c.vmid), func(w *worker) error {
		return c.exclusively(w.ctx, func() error { return work(w) })
	}), nil
}

// writable refuses a change while the cluster has no quorum.
func (c *call) writable() error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	return c.server.checkQuorum()
}

// present refuses a guest that is not on the node of the path.
func (c *call) present() error {
	return c.edit(func(*guest) error { return nil })
}

// unchanged compares the digest that the caller read, if it sent one.
func (c *call) unchanged(g *guest) error {
	if d := c.text("digest"); d != "" && d != g.digest() {
		return failed(modified)
	}
	return nil
}

func notRunning(vmid int) error { return failed(fmt.Sprintf("VM %d not running", vmid)) }
