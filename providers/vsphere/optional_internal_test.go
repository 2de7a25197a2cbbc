package vsphere

import (
	"crypto/sha1"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

func TestHotAddIsTheTemplatesChoice(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := made(t, p, req)
	off := false
	m, err := p.configure(t.Context(), "Test", m, types.VirtualMachineConfigSpec{CpuHotAddEnabled: &off})
	require.Nil(t, err)
	require.Equal(t, models.PowerStopped, m.power())
	settleOf(t, p)(p.StartVM(t.Context(), target(req)))
	to := providers.Shape{VCPUs: req.VCPUs, MemoryMiB: req.MemoryMiB + 128, DiskGiB: req.DiskGiB + 1}
	settleOf(t, p)(p.ResizeVM(t.Context(), target(req), to))
	m = found(t, p, req.VMID)
	require.EqualValues(t, to.MemoryMiB, m.VM.Config.Hardware.MemoryMB)
	require.Equal(t, to.DiskGiB, diskSize(m.rootDisk()))
	to.VCPUs++
	_, resizeErr := p.ResizeVM(t.Context(), target(req), to)
	wantCode(t, "ResizeVM without hot add of CPUs", resizeErr, providers.FailedPrecondition)
}

func TestADiskWithSnapshotsDoesNotGrow(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	settleOf(t, p)(p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: models.NewID()}))
	_, err := p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 1, MemoryMiB: 512, DiskGiB: req.DiskGiB + 1})
	wantCode(t, "ResizeVM", err, providers.FailedPrecondition)
	settleOf(t, p)(p.ResizeVM(t.Context(), target(req), providers.Shape{VCPUs: 1, MemoryMiB: 512, DiskGiB: req.DiskGiB}))
}

// TestAReturnKeepsTheNotes deletes a kept disk after the snapshot whose configuration
// still has it.
func TestAReturnKeepsTheNotes(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	made(t, p, req)
	disk := providers.DataDisk{ID: models.NewID(), SizeGiB: 1}
	settleOf(t, p)(p.AttachDisk(t.Context(), target(req), disk))
	settleOf(t, p)(p.DetachDisk(t.Context(), target(req), disk.ID))
	id := models.NewID()
	settleOf(t, p)(p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: id}))
	settleOf(t, p)(p.DeleteDisk(t.Context(), target(req), disk.ID))
	settleOf(t, p)(p.RevertSnapshot(t.Context(), target(req), id, "token-1"))
	m := found(t, p, req.VMID)
	require.Empty(t, m.dataDisks())
	require.Equal(t, "token-1", m.reverted())
}

// TestSnapshotsOfGuestsWithToolsAreQuiesced looks at what the hypervisor is asked for.
func TestSnapshotsOfGuestsWithToolsAreQuiesced(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	setTools(t, s, req.VMID, types.VirtualMachineToolsRunningStatusGuestToolsRunning)
	for _, memory := range []bool{false, true} {
		id := models.NewID()
		settleOf(t, p)(p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: id, Memory: memory}))
		require.Equal(t, !memory, found(t, p, req.VMID).snapshot(id).Quiesced)
	}
}

func TestSnapshotsOfOperatorsAreListed(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := made(t, p, req)
	for _, name := range []string{"by hand", "hcp-by hand"} {
		task, err := p.startTask(t.Context(), "Test", snapshotBy(m.Ref, name))
		require.Nil(t, err)
		settle(t, p, task)
	}
	list, err := p.ListSnapshots(t.Context(), target(req))
	require.NoError(t, err)
	require.Len(t, list, 2)
	for _, s := range list {
		require.Empty(t, s.ID)
		require.False(t, s.CreatedAt.IsZero())
	}
}

func TestAbortOfAMigrationAtWork(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	task, err := p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1", Live: true})
	require.NoError(t, err)
	again, err := p.MigrateVM(t.Context(), target(req), providers.Migration{Node: "DC0_C0_H1", Live: true})
	require.NoError(t, err)
	require.Contains(t, []providers.TaskRef{task, ""}, again, "a second migration was begun")
	settleOf(t, p)(p.AbortMigration(t.Context(), target(req)))
	require.Equal(t, 1, s.Count("RelocateVM_Task"))
	require.LessOrEqual(t, s.Count("CancelTask"), 1)
	require.Equal(t, models.PowerRunning, found(t, p, req.VMID).power())
}

func TestStats(t *testing.T) {
	t.Parallel()
	_, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	_, err := p.VMStats(t.Context(), target(req), 0)
	wantCode(t, "VMStats of no time", err, providers.InvalidArgument)
	_, err = p.VMStats(t.Context(), providers.Target{VMID: models.NewID()}, time.Hour)
	wantCode(t, "VMStats of an absent VM", err, providers.NotFound)
	for window, apart := range map[time.Duration]time.Duration{10 * time.Minute: 20 * time.Second, 5 * time.Hour: 5 * time.Minute} {
		got, err := p.VMStats(t.Context(), target(req), window)
		require.NoError(t, err)
		require.NotEmpty(t, got)
		begin := time.Now().Add(-window - time.Minute)
		for i, s := range got {
			require.True(t, s.At.After(begin), "the sample at %s is older than asked for", s.At)
			require.NotNil(t, s.CPU)
			require.True(t, *s.CPU >= 0 && *s.CPU <= 1, "CPU = %v", *s.CPU)
			require.NotNil(t, s.Memory)
			require.NotNil(t, s.NetIn)
			require.NotNil(t, s.DiskWrite)
			if i > 0 {
				require.Equal(t, apart, s.At.Sub(got[i-1].At))
			}
		}
	}
}

// TestSamples has what is not measured, and what is of a part of the VM, left out.
func TestSamples(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 1, 2, 3, 4, 0, 0, time.UTC)
	series := func(id int32, instance string, values ...int64) types.BasePerfMetricSeries {
		return &types.PerfMetricIntSeries{PerfMetricSeries: types.PerfMetricSeries{Id: types.PerfMetricId{CounterId: id, Instance: instance}}, Value: values}
	}
	counter := func(id int32, group, name string, rollup types.PerfSummaryType) types.PerfCounterInfo {
		return types.PerfCounterInfo{Key: id, RollupType: rollup, GroupInfo: &types.ElementDescription{Key: group}, NameInfo: &types.ElementDescription{Key: name}}
	}
	counters := counterIDs([]types.PerfCounterInfo{
		counter(1, "cpu", "usage", types.PerfSummaryTypeAverage), counter(2, "cpu", "usage", types.PerfSummaryTypeMaximum),
		counter(3, "net", "received", types.PerfSummaryTypeAverage), counter(4, "net", "usage", types.PerfSummaryTypeAverage),
	})
	require.Len(t, counters, 2)
	got := samplesOf([]types.BasePerfEntityMetricBase{&types.PerfEntityMetric{
		SampleInfo: []types.PerfSampleInfo{{Timestamp: at.Add(40 * time.Second)}, {Timestamp: at.Add(20 * time.Second)}, {Timestamp: at}, {Timestamp: at.Add(time.Minute)}},
		Value:      []types.BasePerfMetricSeries{series(1, "", 2500, -1, 100, -1), series(1, "0", 9000, 9000, 9000, 9000), series(3, "", 3, 2, 1)},
	}}, counters, at)
	quarter, three, two := 0.25, 3*1024.0, 2*1024.0
	require.Equal(t, []providers.Sample{
		{At: at.Add(20 * time.Second), NetIn: &two},
		{At: at.Add(40 * time.Second), CPU: &quarter, NetIn: &three},
	}, got)
}

// TestConsolesAreKnownByTheirTicket pins what a ticket names, by the strongest sum.
func TestConsolesAreKnownByTheirTicket(t *testing.T) {
	t.Parallel()
	cert := &x509.Certificate{Raw: []byte("a certificate")}
	weak, strong := sha1.Sum(cert.Raw), sha256.Sum256(cert.Raw)
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert}}
	other := types.VirtualMachineCertThumbprint{Thumbprint: hex.EncodeToString(make([]byte, 32)), HashAlgorithm: "sha256"}
	good := types.VirtualMachineCertThumbprint{Thumbprint: hex.EncodeToString(strong[:]), HashAlgorithm: "SHA-256"}
	for name, c := range map[string]struct {
		ticket types.VirtualMachineTicket
		ok     bool
	}{
		"SHA-1":                    {types.VirtualMachineTicket{SslThumbprint: hex.EncodeToString(weak[:])}, true},
		"SHA-256":                  {types.VirtualMachineTicket{CertThumbprintList: []types.VirtualMachineCertThumbprint{good}}, true},
		"another":                  {types.VirtualMachineTicket{SslThumbprint: "00:11"}, false},
		"the stronger one is held": {types.VirtualMachineTicket{SslThumbprint: hex.EncodeToString(weak[:]), CertThumbprintList: []types.VirtualMachineCertThumbprint{other}}, false},
	} {
		pins := ticketPins(c.ticket)
		require.NotEmpty(t, pins, name)
		require.Equal(t, c.ok, verifyPins(pins, state) == nil, name)
	}
	require.Empty(t, ticketPins(types.VirtualMachineTicket{}))
}

// TestATicketIsNotTold shows that the error of a console that was refused has no ticket.
func TestATicketIsNotTold(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	running(t, p, req)
	s.RefuseScreens(true)
	_, err := p.OpenConsole(t.Context(), target(req), models.ConsoleVNC)
	wantCode(t, "OpenConsole", err, providers.Unavailable)
	require.NotContains(t, err.Error(), "/ticket/")
	s.RefuseScreens(false)
	stream, err := p.OpenConsole(t.Context(), target(req), models.ConsoleVNC)
	require.NoError(t, err)
	require.NoError(t, stream.Close())
}

// TestASnapshotThatIsMadeMeanwhile is made by another process after the VM was read,
// and before its tasks are.
func TestASnapshotThatIsMadeMeanwhile(t *testing.T) {
	t.Parallel()
	s, p := openPeer(t, vspheresim.Options{})
	req := newRequest()
	m := made(t, p, req)
	other := openWith(t, testConfig(s, nil))
	require.Nil(t, other.ready(t.Context(), "Test"))
	id := models.NewID()
	var reads atomic.Int32
	s.Before(func(c vspheresim.Call) {
		if !strings.HasPrefix(c.Method, "RetrieveProperties") {
			return
		}
		if reads.Add(1) != 2 {
			return
		}
		task, err := other.startTask(t.Context(), "Test", snapshotBy(m.Ref, snapshotName(id)))
		if err == nil {
			err = other.await(t.Context(), "Test", string(task))
		}
		if err != nil {
			t.Error(err)
		}
	})
	settleOf(t, p)(p.CreateSnapshot(t.Context(), target(req), providers.SnapshotRequest{ID: id}))
	require.Len(t, found(t, p, req.VMID).snapshots(), 1)
}
