package libvirt_test

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt/libvirttest"
)

// The installation of these tests, and one that is not ours.
const (
	installation = "0190aaaa-0000-7000-8000-000000000001"
	elsewhere    = "0190aaaa-0000-7000-8000-000000000002"
)

// fixture is the one server that all tests share, made when the first needs it.
type fixture struct {
	once   sync.Once
	server *libvirttest.Server
	guest  models.ImageBinding
	blank  models.ImageBinding
	node   string
	err    error
}

var shared fixture

func TestMain(m *testing.M) {
	code := m.Run()
	if pair.peer != nil {
		if err := pair.peer.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "libvirttest:", err)
			code = 1
		}
	}
	if shared.server != nil {
		if err := shared.server.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "libvirttest:", err)
			code = 1
		}
	}
	os.Exit(code)
}

// env returns the shared server with a bootable and a blank image in its pool.
func env(t *testing.T) *fixture {
	t.Helper()
	shared.once.Do(func() { shared.err = shared.launch(context.WithoutCancel(t.Context())) })
	libvirttest.Check(t, shared.err)
	return &shared
}

func (f *fixture) launch(ctx context.Context) error {
	guest, err := libvirttest.BuildGuest(ctx)
	if err != nil {
		return err
	}
	if f.server, err = libvirttest.Launch(ctx); err != nil {
		return err
	}
	if f.guest, err = f.server.Image(ctx, "guest.qcow2", guest, "qcow2"); err != nil {
		return err
	}
	if f.blank, err = f.server.Blank(ctx, "blank.qcow2", "64M"); err != nil {
		return err
	}
	p, err := libvirt.Open(ctx, f.server.Config(installation))
	if err != nil {
		return err
	}
	nodes, err := p.ListNodes(ctx)
	if err != nil {
		return err
	}
	f.node = nodes[0].Name
	return p.Close()
}

// open returns an adapter for a URL, with more options.
func (f *fixture) open(t *testing.T, url string, options map[string]string) *libvirt.Provider {
	t.Helper()
	cfg := f.server.Config(installation)
	cfg.URL = url
	for k, v := range options {
		cfg.Options[k] = v
	}
	p, err := libvirt.Open(t.Context(), cfg)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, p.Close()) })
	return p
}

// request is a small VM with a blank disk; it is removed when the test ends.
func (f *fixture) request(t *testing.T, p providers.Provider) providers.CreateVMRequest {
	t.Helper()
	req := f.plainRequest()
	t.Cleanup(func() {
		_, err := p.DeleteVM(context.WithoutCancel(t.Context()), providers.Target{VMID: req.VMID})
		require.NoError(t, err)
	})
	return req
}

func (f *fixture) plainRequest() providers.CreateVMRequest {
	id := models.NewID()
	return providers.CreateVMRequest{
		VMID: id, Name: "web", Node: f.node, VCPUs: 1, MemoryMiB: 32, DiskGiB: 1, Image: f.blank,
		NICs:      []providers.NIC{{Network: f.server.NIC(), MAC: macOf(id)}},
		CloudInit: providers.CloudInit{Hostname: "web-1"},
	}
}

// guestRequest is a VM that really boots.
func (f *fixture) guestRequest() providers.CreateVMRequest {
	req := f.plainRequest()
	req.Image, req.MemoryMiB = f.guest, 160
	return req
}

func macOf(id string) string {
	n := len(id)
	return fmt.Sprintf("52:54:00:%s:%s:%s", id[n-6:n-4], id[n-4:n-2], id[n-2:])
}

func target(req providers.CreateVMRequest) providers.Target { return providers.Target{VMID: req.VMID} }

func requireCode(t *testing.T, want providers.Code, err error) {
	t.Helper()
	require.Error(t, err)
	require.Equal(t, want, providers.CodeOf(err), "%v", err)
}

// client is a second connection, to meddle behind the adapter's back.
func (f *fixture) client(t *testing.T) *lv.Libvirt {
	t.Helper()
	c, end, err := f.server.Client(context.WithoutCancel(t.Context()))
	require.NoError(t, err)
	t.Cleanup(end)
	return c
}
