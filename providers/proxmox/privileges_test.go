package proxmox_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
)

var updateDocs = flag.Bool("update", false, "write what the tests find into the documentation")

// TestEveryPrivilegeIsNeeded takes one privilege after the other from the
// documented roles: something fails without each, and the documentation says what.
func TestEveryPrivilegeIsNeeded(t *testing.T) {
	t.Parallel()
	privileges := append(documentedRole(t, "HCP"), documentedRole(t, "HCPMedia")...)
	fails := make([]string, len(privileges))
	t.Run("without", func(t *testing.T) {
		for i, privilege := range privileges {
			t.Run(privilege, func(t *testing.T) {
				t.Parallel()
				names := whatFails(t, privilege)
				require.NotEmpty(t, names, "nothing fails without %s: the role is not the least", privilege)
				fails[i] = strings.Join(names, ", ")
			})
		}
	})
	if t.Failed() {
		return
	}
	table := "| Without | fails |\n|---|---|\n"
	for i, privilege := range privileges {
		table += fmt.Sprintf("| `%s` | %s |\n", privilege, fails[i])
	}
	doc, err := os.ReadFile(roleDocs)
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(doc), "<!-- privileges: begin -->\n")
	require.True(t, ok)
	written, after, ok := strings.Cut(rest, "<!-- privileges: end -->\n")
	require.True(t, ok)
	if *updateDocs {
		text := before + "<!-- privileges: begin -->\n" + table + "<!-- privileges: end -->\n" + after
		require.NoError(t, os.WriteFile(roleDocs, []byte(text), 0o600))
		return
	}
	require.Equal(t, table, written, "the documentation is not up to date: run this test with -update")
}

// whatFails lives a VM's life with an account that lacks a privilege, and returns
// what it cannot do. Another account does that for it.
func whatFails(t *testing.T, privilege string) (names []string) {
	t.Helper()
	c := startLeast(t, privilege)
	least, full := c.openAs(t, leastToken), c.openAs(t, proxmoxsim.DefaultToken)
	all := newLife().acts(t)
	for _, a := range all {
		if err := a.do(least); err != nil {
			names = append(names, a.name)
			require.NoError(t, a.do(full), "%s, with every privilege", a.name)
		}
	}
	if len(names) == len(all) {
		return []string{"everything"}
	}
	return names
}

// TestTheDocumentedRoleSuffices does with it all that is looked at above.
func TestTheDocumentedRoleSuffices(t *testing.T) {
	t.Parallel()
	require.Empty(t, whatFails(t, "none"))
}

// act is something that an account does.
type act struct {
	name string
	do   func(p *proxmox.Provider) error
}

// life is that of a VM, of one with a medium of ours and of a clone.
type life struct {
	vm, media, clone providers.CreateVMRequest
	disk             providers.DataDisk
	snapshot         string
}

func newLife() *life {
	l := &life{
		vm: coreRequest(), media: coreRequest(), clone: coreRequest(),
		disk: providers.DataDisk{ID: models.NewID(), SizeGiB: 1}, snapshot: models.NewID(),
	}
	l.media.CloudInit.UserData = []byte("#cloud-config\n")
	return l
}

func (l *life) acts(t *testing.T) []act {
	t.Helper()
	return slices.Concat(l.making(t), l.changing(t), l.running(t), l.ending(t))
}

func (l *life) making(t *testing.T) []act {
	t.Helper()
	ctx := t.Context()
	create := func(req providers.CreateVMRequest) func(p *proxmox.Provider) error {
		return work(t, func(p *proxmox.Provider) (providers.TaskRef, error) {
			_, task, err := p.CreateVM(ctx, req)
			return task, err
		})
	}
	return []act{
		{"sizes of nodes", func(p *proxmox.Provider) error {
			nodes, err := p.ListNodes(ctx)
			if err == nil && slices.ContainsFunc(nodes, func(n providers.Node) bool { return n.VCPUs == 0 }) {
				err = errors.New("a node has no size")
			}
			return err
		}},
		{"list of templates", func(p *proxmox.Provider) error {
			images, err := p.ListImages(ctx)
			return some(len(images), err)
		}},
		{"list of networks", func(p *proxmox.Provider) error {
			networks, err := p.ListNetworks(ctx)
			return some(len(networks), err)
		}},
		{"create", create(l.vm)},
		{"create with user data", create(l.media)},
		{"find", func(p *proxmox.Provider) error {
			_, err := p.FindVM(ctx, l.vm.VMID)
			return err
		}},
		{"list of VMs", func(p *proxmox.Provider) error {
			page, err := p.ListVMs(ctx, providers.PageRequest{})
			return some(len(page.VMs), err)
		}},
		{"clone", work(t, func(p *proxmox.Provider) (providers.TaskRef, error) {
			_, task, err := p.CloneVM(ctx, l.target(), l.clone)
			return task, err
		})},
	}
}

func (l *life) changing(t *testing.T) []act {
	t.Helper()
	ctx, nic := t.Context(), providers.NIC{MAC: "52:54:00:aa:bb:01", Network: models.NetworkBinding{Ref: "vmbr1"}}
	wider := providers.Shape{VCPUs: l.vm.VCPUs + 1, MemoryMiB: 2 * l.vm.MemoryMiB, DiskGiB: l.vm.DiskGiB + 1}
	rebuilt := l.vm
	rebuilt.NICs, rebuilt.DiskGiB = nil, wider.DiskGiB
	do := func(name string, ask func(p *proxmox.Provider) (providers.TaskRef, error)) act {
		return act{name, work(t, ask)}
	}
	return []act{
		do("resize", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.ResizeVM(ctx, l.target(), wider) }),
		do("attach a disk", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.AttachDisk(ctx, l.target(), l.disk) }),
		do("detach a disk", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.DetachDisk(ctx, l.target(), l.disk.ID) }),
		do("delete a disk", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.DeleteDisk(ctx, l.target(), l.disk.ID) }),
		do("attach an interface", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.AttachNIC(ctx, l.target(), nic) }),
		do("detach an interface", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.DetachNIC(ctx, l.target(), nic.MAC) }),
		do("rebuild", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.RebuildVM(ctx, rebuilt, "token") }),
		do("end a rebuild", func(p *proxmox.Provider) (providers.TaskRef, error) {
			return p.FinishRebuild(ctx, l.target(), "token")
		}),
	}
}

func (l *life) running(t *testing.T) []act {
	t.Helper()
	ctx := t.Context()
	do := func(name string, ask func(p *proxmox.Provider) (providers.TaskRef, error)) act {
		return act{name, work(t, ask)}
	}
	return []act{
		do("start", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.StartVM(ctx, l.target()) }),
		{"open a console", func(p *proxmox.Provider) error {
			stream, err := p.OpenConsole(ctx, l.target(), models.ConsoleVNC)
			if err != nil {
				return err
			}
			return stream.Close()
		}},
		do("reboot", func(p *proxmox.Provider) (providers.TaskRef, error) {
			return p.RebootVM(ctx, l.target(), models.ModeForce, "token")
		}),
		do("suspend", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.SuspendVM(ctx, l.target()) }),
		do("resume", func(p *proxmox.Provider) (providers.TaskRef, error) { return p.ResumeVM(ctx, l.target()) }),
		do("migrate", func(p *proxmox.Provider) (providers.TaskRef, error) {
			return p.MigrateVM(ctx, l.target(), providers.Migration{Node: "pve2", Live: true})
		}),
		do("take a snapshot", func(p *proxmox.Provider) (providers.TaskRef, error) {
			return p.CreateSnapshot(ctx, l.target(), providers.SnapshotRequest{ID: l.snapshot, Name: "s"})
		}),
		do("stop", func(p *proxmox.Provider) (providers.TaskRef, error) {
			return p.StopVM(ctx, l.target(), models.ModeForce)
		}),
		do("return to a snapshot", func(p *proxmox.Provider) (providers.TaskRef, error) {
			return p.RevertSnapshot(ctx, l.target(), l.snapshot, "token")
		}),
		do("delete a snapshot", func(p *proxmox.Provider) (providers.TaskRef, error) {
			return p.DeleteSnapshot(ctx, l.target(), l.snapshot)
		}),
	}
}

func (l *life) ending(t *testing.T) []act {
	t.Helper()
	remove := func(id string) func(p *proxmox.Provider) error {
		return work(t, func(p *proxmox.Provider) (providers.TaskRef, error) {
			return p.DeleteVM(t.Context(), providers.Target{VMID: id})
		})
	}
	return []act{{"delete", remove(l.vm.VMID)}, {"delete with user data", remove(l.media.VMID)}}
}

func (l *life) target() providers.Target { return providers.Target{VMID: l.vm.VMID} }

// some is an error for a list of nothing.
func some(n int, err error) error {
	if err == nil && n == 0 {
		err = errors.New("the list is empty")
	}
	return err
}

// work asks until what it asks for is done, as an activity does, or fails for good.
func work(t *testing.T, ask func(p *proxmox.Provider) (providers.TaskRef, error)) func(p *proxmox.Provider) error {
	t.Helper()
	return func(p *proxmox.Provider) error {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			task, err := ask(p)
			for err == nil && task != "" {
				var st providers.TaskStatus
				if st, err = p.PollTask(ctx, task); err == nil && st.Done {
					task, err = "", st.Err
				}
				select {
				case <-tick.C:
				case <-ctx.Done():
					require.NoError(t, ctx.Err())
				}
			}
			polled := task != "" && providers.CodeOf(err) == providers.NotFound // the work was interrupted
			if err == nil || !polled && !providers.CodeOf(err).Retryable() {
				return err
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				require.NoError(t, ctx.Err(), "%v", err)
			}
		}
	}
}
