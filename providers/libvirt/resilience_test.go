package libvirt_test

import (
	"context"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/libvirt"
)

// requireNothing proves that nothing is left of a VM: asked through the adapter,
// of libvirt, and of the file system.
func (f *fixture) requireNothing(t *testing.T, p *libvirt.Provider, vmID string) {
	t.Helper()
	left, err := p.Leftovers(t.Context(), vmID)
	require.NoError(t, err)
	require.Empty(t, left)
	domains, err := f.server.Domains(t.Context())
	require.NoError(t, err)
	require.NotContains(t, domains, "hcp-"+vmID)
	files, err := os.ReadDir(f.server.PoolDir)
	require.NoError(t, err)
	for _, file := range files {
		require.NotContains(t, file.Name(), vmID)
	}
}

func requireComplete(t *testing.T, p *libvirt.Provider, req providers.CreateVMRequest) {
	t.Helper()
	vm, err := p.FindVM(t.Context(), req.VMID)
	require.NoError(t, err)
	require.False(t, vm.Incomplete)
	require.Equal(t, req.DiskGiB, vm.DiskGiB)
	require.Equal(t, models.PowerStopped, vm.Power)
}

// eventually repeats a call that another call's aftermath may still hold up.
func eventually(t *testing.T, call func() error) {
	t.Helper()
	deadline := time.Now().Add(2 * time.Minute)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		err := call()
		if err == nil {
			return
		}
		require.True(t, providers.CodeOf(err).Retryable(), "%v", err)
		require.True(t, time.Now().Before(deadline), "%v", err)
		<-tick.C
	}
}

// TestCreateSurvivesALostCallAtEveryStep cuts the connection at each remote call
// of CreateVM in turn, once before the daemon has it and once before its answer.
// A repeated CreateVM completes what is there, and DeleteVM removes all of it.
func TestCreateSurvivesALostCallAtEveryStep(t *testing.T) {
	f := env(t)
	direct, proxy := f.open(t, f.server.URL, nil), newProxy(t, f.server)
	for _, deliver := range []bool{false, true} {
		cuts := 0
		for nth := 1; ; nth++ {
			through := f.open(t, proxy.url(), nil)
			proxy.set(&fault{nth: nth, deliver: deliver})
			req := f.request(t, direct)
			_, _, err := through.CreateVM(t.Context(), req)
			if !proxy.hasFired() {
				require.NoError(t, err)
				break
			}
			cuts++
			requireCode(t, providers.Unavailable, err)
			if nth%2 == 0 {
				eventually(t, func() error {
					_, _, err := direct.CreateVM(t.Context(), req)
					return err
				})
				requireComplete(t, direct, req)
			}
			eventually(t, func() error {
				_, err := direct.DeleteVM(t.Context(), target(req))
				return err
			})
			f.requireNothing(t, direct, req.VMID)
		}
		require.Greater(t, cuts, 10, "the steps of CreateVM")
	}
}

// TestDeleteSurvivesALostCallAtEveryStep does the same to DeleteVM.
func TestDeleteSurvivesALostCallAtEveryStep(t *testing.T) {
	f := env(t)
	direct, proxy := f.open(t, f.server.URL, nil), newProxy(t, f.server)
	for _, deliver := range []bool{false, true} {
		for nth := 1; ; nth++ {
			req := f.request(t, direct)
			_, _, err := direct.CreateVM(t.Context(), req)
			require.NoError(t, err)
			through := f.open(t, proxy.url(), nil)
			proxy.set(&fault{nth: nth, deliver: deliver})
			_, err = through.DeleteVM(t.Context(), target(req))
			if !proxy.hasFired() {
				require.NoError(t, err)
				f.requireNothing(t, direct, req.VMID)
				require.Greater(t, nth, 5, "the steps of DeleteVM")
				break
			}
			requireCode(t, providers.Unavailable, err)
			eventually(t, func() error {
				_, err := direct.DeleteVM(t.Context(), target(req))
				return err
			})
			f.requireNothing(t, direct, req.VMID)
		}
	}
}

// TestCreateSurvivesTheDaemonsDeath kills libvirtd at each step that makes
// something, with the call on its way.
func TestCreateSurvivesTheDaemonsDeath(t *testing.T) {
	f := env(t)
	proxy := newProxy(t, f.server)
	p := f.open(t, proxy.url(), nil)
	for _, procedure := range []uint32{procVolCreateXML, procVolUpload, procDomainDefineXML} {
		req := f.request(t, p)
		killed := make(chan error, 1)
		proxy.set(&fault{procedure: procedure, deliver: true, then: func() { killed <- f.server.Kill() }})
		_, _, err := p.CreateVM(t.Context(), req)
		requireCode(t, providers.Unavailable, err)
		require.NoError(t, <-killed)
		require.NoError(t, f.server.Restart(t.Context()))
		eventually(t, func() error {
			_, _, err := p.CreateVM(t.Context(), req)
			return err
		})
		requireComplete(t, p, req)
		_, err = p.DeleteVM(t.Context(), target(req))
		require.NoError(t, err)
		f.requireNothing(t, p, req.VMID)
	}
}

// TestBrokenCloneIsMadeAnew leaves a root disk as a qemu-img that died would.
func TestBrokenCloneIsMadeAnew(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	for _, size := range []string{"1G", "0"} { // without its backing file, and before its size was set
		req := f.request(t, p)
		_, _, err := p.CreateVM(t.Context(), req)
		require.NoError(t, err)
		root := f.rootName(t, p, req.VMID)
		c := f.client(t)
		dom, err := c.DomainLookupByName("hcp-" + req.VMID)
		require.NoError(t, err)
		require.NoError(t, c.DomainUndefineFlags(dom, 0))
		_, err = f.server.Blank(t.Context(), root, size)
		require.NoError(t, err)
		_, _, err = p.CreateVM(t.Context(), req)
		require.NoError(t, err)
		requireComplete(t, p, req)
		volume, err := c.StorageVolLookupByPath(f.server.PoolDir + "/" + root)
		require.NoError(t, err)
		doc, err := c.StorageVolGetXMLDesc(volume, 0)
		require.NoError(t, err)
		require.Contains(t, doc, "<path>"+f.server.PoolDir+"/blank.qcow2</path>")
	}
}

// TestMissingPartsAreReportedAndMadeAnew takes a part of a complete VM away.
func TestMissingPartsAreReportedAndMadeAnew(t *testing.T) {
	f := env(t)
	p, c := f.open(t, f.server.URL, nil), f.client(t)
	for _, part := range []string{"root.qcow2", "seed.iso"} {
		req := f.request(t, p)
		_, _, err := p.CreateVM(t.Context(), req)
		require.NoError(t, err)
		root := f.rootName(t, p, req.VMID)
		volume, err := c.StorageVolLookupByPath(f.server.PoolDir + "/" + strings.Replace(root, "root.qcow2", part, 1))
		require.NoError(t, err)
		require.NoError(t, c.StorageVolDelete(volume, 0))
		vm, err := p.FindVM(t.Context(), req.VMID)
		require.NoError(t, err)
		require.True(t, vm.Incomplete)
		_, _, err = p.CreateVM(t.Context(), req)
		require.NoError(t, err)
		requireComplete(t, p, req)
	}
}

func (f *fixture) rootName(t *testing.T, p *libvirt.Provider, vmID string) string {
	t.Helper()
	left, err := p.Leftovers(t.Context(), vmID)
	require.NoError(t, err)
	for _, o := range left {
		if o.Type == "volume" && strings.HasSuffix(o.Ref, "root.qcow2") {
			return strings.TrimPrefix(o.Ref, f.server.Pool+"/")
		}
	}
	t.Fatalf("no root disk in %v", left)
	return ""
}

// TestFrozenDaemon shows that no call outlives its deadline, and that the
// adapter works again once the daemon does.
func TestFrozenDaemon(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, map[string]string{"call_timeout": "1s"})
	_, err := p.Info(t.Context())
	require.NoError(t, err)
	require.NoError(t, f.server.Freeze())
	t.Cleanup(func() { require.NoError(t, f.server.Thaw()) })

	var wg sync.WaitGroup
	for _, limit := range []time.Duration{300 * time.Millisecond, 600 * time.Millisecond, time.Hour} {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			began := time.Now()
			_, err := p.FindVM(ctx, models.NewID())
			took := time.Since(began)
			if code := providers.CodeOf(err); code != providers.DeadlineExceeded && code != providers.Unavailable {
				t.Errorf("code = %q: %v", code, err)
			}
			if want := min(limit, time.Second); took > want+time.Second {
				t.Errorf("a call with %v took %v", want, took)
			}
		})
	}
	wg.Wait()
	require.NoError(t, f.server.Thaw())
	eventually(t, func() error {
		_, err := p.Info(t.Context())
		return err
	})
}

// TestRestartedDaemon shows that an adapter outlives the daemon it was connected
// to, and says Unavailable while there is none.
func TestRestartedDaemon(t *testing.T) {
	f := env(t)
	p := f.open(t, f.server.URL, nil)
	req := f.request(t, p)
	_, _, err := p.CreateVM(t.Context(), req)
	require.NoError(t, err)
	_, err = p.StartVM(t.Context(), target(req))
	require.NoError(t, err)

	require.NoError(t, f.server.Kill())
	_, err = p.FindVM(t.Context(), req.VMID)
	requireCode(t, providers.Unavailable, err)
	require.NoError(t, f.server.Restart(t.Context()))
	eventually(t, func() error {
		vm, err := p.FindVM(t.Context(), req.VMID)
		if err == nil {
			require.Equal(t, models.PowerRunning, vm.Power, "the guest outlives the daemon")
		}
		return err
	})
}
