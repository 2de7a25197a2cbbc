package proxmoxsim

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// boot starts a guest's process with what waited for it. The caller holds
// Server.mu.
func (s *Server) boot(g *guest) error {
	n := s.state.node(g.Node)
	switch {
	case g.template():
		return failed("you can't start a vm if it's a template")
	case g.isRunning():
		return failed(fmt.Sprintf("VM %d already running", g.VMID))
	}
	if g.lock() == "suspended" {
		return s.wake(g)
	}
	if err := g.checkLock(); err != nil {
		return err
	}
	if err := s.takePending(g); err != nil {
		return err
	}
	if g.vcpus() > n.VCPUs {
		return failed(fmt.Sprintf("MAX %d vcpus allowed per VM on this node", n.VCPUs))
	}
	if err := s.runnable(g, n); err != nil {
		return err
	}
	s.process(g)
	g.Boots++
	return nil
}

// runnable refuses a guest that QEMU could not start on the node. The caller
// holds Server.mu.
func (s *Server) runnable(g *guest, n *node) error {
	taken := 0
	for _, other := range s.state.guests {
		if other.Node == n.Name && other.isRunning() && other != g {
			taken += other.memoryMiB()
		}
	}
	if taken+g.memoryMiB() > n.MemoryMiB {
		return failed("start failed: cannot set up guest memory 'pc.ram': Cannot allocate memory")
	}
	for key, value := range g.Config {
		if !numbered(key, "net") {
			continue
		}
		if bridge := s.facts.properties(key, value)["bridge"]; bridge != "" && !slices.Contains(n.Bridges, bridge) {
			return failed("bridge '" + bridge + "' does not exist")
		}
	}
	for _, key := range g.Config.drives() {
		if d := parseDrive(g.Config[key]); strings.Contains(d.file, ":") && s.state.volume(g.Node, d.file) == nil {
			return failed("volume '" + d.file + "' does not exist")
		}
	}
	return nil
}

func (s *Server) process(g *guest) {
	g.QMP, g.Started, g.PID = qmpRunning, now(), int(s.state.number())+2000 //nolint:gosec // G115: a small number
	g.Effective = g.Config.clone()
}

// halt ends a guest's process. What waited for the next start is taken over
// then. The caller holds Server.mu.
func (s *Server) halt(g *guest) {
	g.QMP, g.PID, g.Started, g.Effective = qmpStopped, 0, time.Time{}, nil
}

func (c *call) start() (any, error) {
	return c.task("qmstart", func(w *worker) error {
		if err := c.present(); err != nil {
			return err
		}
		if err := w.pause(); err != nil {
			return err
		}
		return c.edit(c.server.boot)
	})
}

// stop ends the guest's process, whatever the guest does.
func (c *call) stop() (any, error) {
	if c.flag("overrule-shutdown", false) {
		c.overrule()
	}
	return c.task("qmstop", func(w *worker) error {
		if err := c.stoppable(); err != nil {
			return err
		}
		if err := w.pause(); err != nil {
			return err
		}
		return c.edit(func(g *guest) error {
			c.server.halt(g)
			return nil
		})
	})
}

// overrule ends the shutdowns of the guest that still wait for it.
func (c *call) overrule() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	for _, t := range c.server.state.tasks {
		if t.Running && t.Type == "qmshutdown" && t.ID == strconv.Itoa(c.vmid) {
			t.cancel(errors.New("interrupted by signal"))
		}
	}
}

// stoppable refuses a guest that is absent or locked; a suspended one is off.
func (c *call) stoppable() error {
	return c.edit(func(g *guest) error {
		if g.lock() == "suspended" {
			return nil
		}
		return g.checkLock()
	})
}

// shutdownTimeout is how long a guest has where the caller does not say.
const shutdownTimeout = 60

func (c *call) shutdown() (any, error) {
	force := c.flag("forceStop", false)
	if c.isPaused() && !force {
		return nil, failed(pausedText)
	}
	return c.task("qmshutdown", func(w *worker) error {
		if err := c.stoppable(); err != nil {
			return err
		}
		err := c.powerDown(w)
		if err != nil && (!errors.Is(err, errDeaf) || !force) {
			return err
		}
		return c.edit(func(g *guest) error {
			c.server.halt(g)
			return nil
		})
	})
}

// pausedText refuses to ask a guest that would only hear it when it goes on.
const pausedText = "VM is paused - cannot shutdown"

func (c *call) isPaused() bool {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	g, err := c.guest()
	return err == nil && g.QMP == qmpPaused
}

var errDeaf = errors.New("VM quit/powerdown failed - got timeout")

// powerDown asks the guest to stop and waits until it would have.
func (c *call) powerDown(w *worker) error {
	running, deaf := false, false
	err := c.edit(func(g *guest) error {
		running, deaf = g.isRunning(), g.Deaf && g.QMP != qmpPaused
		return nil
	})
	if err != nil || !running || c.isPaused() {
		return err
	}
	if err := w.pause(); err != nil {
		return err
	}
	seconds, ok := c.number("timeout")
	if !ok {
		seconds = shutdownTimeout
	}
	limit := time.Duration(seconds) * time.Second
	takes := c.server.opts.GuestShutdown
	if !deaf && takes <= limit {
		return w.wait(takes)
	}
	if err := w.wait(limit); err != nil {
		return err
	}
	return errDeaf
}

// reboot shuts the guest down and starts it anew, so that what was pending
// holds.
func (c *call) reboot() (any, error) {
	if c.isPaused() {
		return nil, failed(pausedText)
	}
	if err := c.mustRun(); err != nil {
		return nil, err
	}
	return c.task("qmreboot", func(w *worker) error {
		if err := c.stoppable(); err != nil {
			return err
		}
		if err := c.powerDown(w); err != nil {
			return err
		}
		return c.edit(func(g *guest) error {
			c.server.halt(g)
			return c.server.boot(g)
		})
	})
}

// mustRun refuses a guest that is not on the node of the path, or is off.
func (c *call) mustRun() error {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	g, err := c.guest()
	if err != nil {
		return failed(fmt.Sprintf("unable to find configuration file for VM %d - no such machine", c.vmid))
	}
	return running(g)
}

func running(g *guest) error {
	if !g.isRunning() {
		return notRunning(g.VMID)
	}
	return nil
}

func (c *call) reset() (any, error) {
	if err := c.mustRun(); err != nil {
		return nil, err
	}
	return c.task("qmreset", func(w *worker) error {
		if err := w.pause(); err != nil {
			return err
		}
		return c.edit(func(g *guest) error {
			if err := errors.Join(g.checkLock(), running(g)); err != nil {
				return err
			}
			g.QMP = qmpRunning
			g.Boots++
			return nil
		})
	})
}
