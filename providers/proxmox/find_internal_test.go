package proxmox

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

func (p peer) newVM(t *testing.T, vm simadmin.NewVM) simadmin.VM {
	t.Helper()
	if vm.Name == "" {
		vm.Name = "guest"
	}
	out, err := p.admin.CreateVM(t.Context(), vm)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ourMark(vmID string) *simadmin.Mark {
	return &simadmin.Mark{VMID: vmID, InstallationID: testInstallation}
}

func TestFindReadsTheVMThatIsOurs(t *testing.T) {
	sim := newPeer(t, proxmoxsim.Options{})
	p := openWith(t, testConfig(sim.url, nil))
	vm := sim.newVM(t, simadmin.NewVM{Node: "pve2", Mark: ourMark(testVM)})
	m, err := p.find(t.Context(), "Test", testVM)
	if err != nil || m == nil {
		t.Fatalf("find = %v, %v", m, err)
	}
	if m.Node != "pve2" || m.Status != "running" || fmt.Sprint(m.VMID) != vm.NativeID || m.Config["digest"] == "" || m.Mark.VMID != testVM {
		t.Errorf("it is read as %+v", m)
	}
}

// A VM at one of our VMIDs, or with our tags, is foreign unless its configuration
// proves it ours.
func TestFindTakesNoForeignVMForOurs(t *testing.T) {
	sim := newPeer(t, proxmoxsim.Options{})
	// Each VMID of the range is one of ours, and taken by somebody else.
	p := openWith(t, testConfig(sim.url, map[string]string{optVMIDRange: "100-103"}))
	sim.newVM(t, simadmin.NewVM{Name: "foreign"})
	sim.newVM(t, simadmin.NewVM{Name: "another", Mark: &simadmin.Mark{VMID: testVM, InstallationID: "another"}})
	sim.newVM(t, simadmin.NewVM{Name: "same-uuid", UUID: testVM})
	sim.newVM(t, simadmin.NewVM{Name: "other-vm", Mark: ourMark("7c0c8a3c-3d5f-4f1b-9d3c-111111111111")})
	if m, err := p.find(t.Context(), "Test", testVM); m != nil || err != nil {
		t.Errorf("find = %+v, %v, want nothing", m, err)
	}
}

func TestFindRefusesWhatIsNoVMID(t *testing.T) {
	p := openWith(t, testConfig(newPeer(t, proxmoxsim.Options{}).url, nil))
	for _, id := range []string{"", "x", strings.ToUpper(testVM), testVM + ";prod", "{" + testVM + "}"} {
		_, err := p.find(t.Context(), "Test", id)
		wantCode(t, id, err, providers.InvalidArgument)
	}
}

// That our account sees no VM proves nothing when it may not see VMs.
func TestAbsenceIsProvenOnlyToThoseWhoMaySee(t *testing.T) {
	sim := newPeer(t, proxmoxsim.Options{Users: []proxmoxsim.User{{
		ID: "hcp@pve", Tokens: []proxmoxsim.Token{{Name: "hcp", Secret: "s3cret"}}, Grants: map[string]string{"/storage": "PVEDatastoreUser"},
	}}})
	sim.newVM(t, simadmin.NewVM{Mark: ourMark(testVM)})
	cfg := testConfig(sim.url, nil)
	cfg.Credentials.Token = "hcp@pve!hcp=s3cret"
	p := openWith(t, cfg)
	_, err := p.find(t.Context(), "Test", testVM)
	wantCode(t, "find", err, providers.PermissionDenied)
	_, infoErr := p.Info(t.Context())
	wantCode(t, "Info", infoErr, providers.PermissionDenied)
}

// fake is a cluster of VMs in memory, for states that no call leads to.
type fake struct {
	rows    string
	configs map[string]string // by "<node>/<vmid>"
}

func (f *fake) serve(t *testing.T) http.HandlerFunc {
	t.Helper()
	return func(w http.ResponseWriter, r *http.Request) {
		path := strings.TrimPrefix(r.URL.Path, "/api2/json")
		parts := strings.Split(path, "/")
		switch {
		case path == "/cluster/resources":
			_, _ = fmt.Fprintf(w, `{"data":[%s]}`, f.rows)
		case path == "/cluster/status":
			_, _ = w.Write([]byte(`{"data":[{"type":"node","name":"pve1"}]}`))
		case path == "/access/permissions":
			_, _ = w.Write([]byte(`{"data":{"/vms":{"VM.Audit":1}}}`))
		case strings.HasSuffix(path, "/config"):
			config, ok := f.configs[parts[2]+"/"+parts[4]]
			if !ok {
				refuse(t, w, "500 Configuration file 'nodes/"+parts[2]+"/qemu-server/"+parts[4]+".conf' does not exist")
				return
			}
			_, _ = fmt.Fprintf(w, `{"data":%s}`, config)
		case strings.HasSuffix(path, "/status/current"):
			_, _ = w.Write([]byte(`{"data":{"status":"stopped","qmpstatus":"stopped"}}`))
		default:
			refuse(t, w, "501 Method not implemented")
		}
	}
}

func rowOf(vmid int, node, tags string) string {
	return fmt.Sprintf(`{"type":"qemu","vmid":%d,"node":%q,"tags":%q,"status":"stopped","template":0,"maxcpu":2,"maxmem":1073741824,"maxdisk":10737418240}`, vmid, node, tags)
}

func configOf(t *testing.T, m mark, smbios string) string {
	t.Helper()
	text, err := m.describe("")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`{"description":%q,"smbios1":"uuid=%s","digest":"abc","cores":2}`, text, smbios)
}

const copyUUID = "7c0c8a3c-3d5f-4f1b-9d3c-222222222222"

func TestAnOperatorsCopyIsForeign(t *testing.T) {
	s := settings{installation: testInstallation, vmidMin: 100_000, vmidMax: 999_999}
	whole := mark{VMID: testVM, Installation: testInstallation}
	at, tags := s.vmidCandidates(testVM)[0], s.tags("", testVM)
	f := fake{
		rows:    rowOf(101, "pve1", tags) + "," + rowOf(at, "pve1", tags),
		configs: map[string]string{"pve1/101": configOf(t, whole, copyUUID), fmt.Sprintf("pve1/%d", at): configOf(t, whole, testVM)},
	}
	p := openWith(t, testConfig(answering(t, f.serve(t)), nil))
	m, err := p.find(t.Context(), "Test", testVM)
	if err != nil || m == nil || m.VMID != at {
		t.Fatalf("find = %+v, %v, want the VM %d", m, err, at)
	}
	page, listErr := p.ListVMs(t.Context(), providers.PageRequest{})
	if listErr != nil || len(page.VMs) != 1 || page.VMs[0].Ref != providers.VMRef(fmt.Sprint(at)) {
		t.Errorf("listed: %+v, %v, want the VM %d alone", page.VMs, listErr, at)
	}
	// Ours was deleted behind our back; the copy has not become ours.
	f.rows = rowOf(101, "pve1", tags)
	if m, err := p.find(t.Context(), "Test", testVM); m != nil || err != nil {
		t.Errorf("find = %+v, %v, want nothing", m, err)
	}
	if page, err := p.ListVMs(t.Context(), providers.PageRequest{}); err != nil || len(page.VMs) != 0 {
		t.Errorf("listed: %+v, %v, want nothing", page.VMs, err)
	}
}

func TestTwoVMsWithOneIdentity(t *testing.T) {
	s := settings{installation: testInstallation, vmidMin: 100_000, vmidMax: 999_999}
	whole := mark{VMID: testVM, Installation: testInstallation}
	making := whole
	making.Making = true
	order := s.vmidCandidates(testVM)
	first, second := fmt.Sprintf("pve1/%d", order[0]), fmt.Sprintf("pve1/%d", order[1])
	f := fake{rows: rowOf(order[1], "pve1", "") + "," + rowOf(order[0], "pve1", "")}
	p := openWith(t, testConfig(answering(t, f.serve(t)), nil))

	f.configs = map[string]string{first: configOf(t, whole, testVM), second: configOf(t, whole, testVM)}
	_, err := p.find(t.Context(), "Test", testVM)
	wantCode(t, "two that are whole", err, providers.FailedPrecondition)

	f.configs = map[string]string{first: configOf(t, making, copyUUID), second: configOf(t, whole, testVM)}
	if m, err := p.find(t.Context(), "Test", testVM); err != nil || m == nil || m.VMID != order[1] {
		t.Errorf("find = %+v, %v, want the one that is whole", m, err)
	}

	f.configs = map[string]string{first: configOf(t, making, copyUUID), second: configOf(t, making, copyUUID)}
	if m, err := p.find(t.Context(), "Test", testVM); err != nil || m == nil || m.VMID != order[0] {
		t.Errorf("find = %+v, %v, want the one at the first VMID", m, err)
	}
	if all, err := p.findAll(t.Context(), "Test", testVM); err != nil || len(all) != 2 {
		t.Errorf("%d are found (%v), want both", len(all), err)
	}
}

// A VM that is not where the list has it is looked for again: it may be moving.
func TestAVMThatMovesIsNotTakenForAbsent(t *testing.T) {
	s := settings{installation: testInstallation, vmidMin: 100_000, vmidMax: 999_999}
	f := fake{rows: rowOf(s.vmidCandidates(testVM)[0], "pve1", s.tags("", testVM))}
	p := openWith(t, testConfig(answering(t, f.serve(t)), nil))
	_, err := p.find(t.Context(), "Test", testVM)
	wantCode(t, "find", err, providers.Aborted)
}

func TestInfoNodesImagesAndNetworks(t *testing.T) {
	sim := newPeer(t, proxmoxsim.Options{Nodes: 3})
	p := openWith(t, testConfig(sim.url, nil))
	info, err := p.Info(t.Context())
	if err != nil || info.Kind != Kind || info.Version != "Proxmox VE "+proxmoxsim.Version || !slices.Contains(info.Capabilities, models.CapCloudInit) {
		t.Errorf("Info = %+v, %v", info, err)
	}
	nodes, err := p.ListNodes(t.Context())
	if err != nil || len(nodes) != 3 {
		t.Fatalf("nodes: %+v, %v", nodes, err)
	}
	want := providers.Node{Name: "pve1", Cluster: "default", State: models.NodeUp, VCPUs: proxmoxsim.DefaultNodeVCPUs, MemoryMiB: proxmoxsim.DefaultNodeMemoryMiB}
	if nodes[0] != want {
		t.Errorf("node = %+v, want %+v", nodes[0], want)
	}
	images, err := p.ListImages(t.Context())
	if err != nil || !slices.Equal(images, []providers.Image{{Ref: "9000", SizeGiB: 2}}) {
		t.Errorf("images: %+v, %v", images, err)
	}
	networks, err := p.ListNetworks(t.Context())
	bridges := []providers.Network{{Ref: "vmbr0", Type: models.NetworkBridge}, {Ref: "vmbr1", Type: models.NetworkBridge}}
	if err != nil || !slices.Equal(networks, bridges) {
		t.Errorf("networks: %+v, %v", networks, err)
	}
}

// 1,000 VMs on 10 nodes: one call for each page, however many VMs there are.
func TestAnInventoryOfAThousandVMsIsOneCallForEachPage(t *testing.T) {
	s := settings{installation: testInstallation, vmidMin: 100_000, vmidMax: 999_999}
	const count, limit = 1000, 200
	want := map[string]bool{}
	var rows []string
	for i := range count {
		id := fmt.Sprintf("%08x-6f3f-4b43-8d2c-6f0f7b2c9d11", i*7919)
		want[id] = true
		rows = append(rows, rowOf(s.vmidCandidates(id)[0], fmt.Sprintf("pve%d", i%10+1), s.tags("", id)))
	}
	f := fake{rows: strings.Join(rows, ",")}
	var mu sync.Mutex
	calls := map[string]int{}
	serve := f.serve(t)
	p := openWith(t, testConfig(answering(t, func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		calls[r.URL.Path]++
		mu.Unlock()
		serve(w, r)
	}), nil))
	got := map[string]bool{}
	last, req := "", providers.PageRequest{Limit: limit}
	for {
		page, err := p.ListVMs(t.Context(), req)
		if err != nil {
			t.Fatal(err)
		}
		for _, vm := range page.VMs {
			if vm.VMID <= last || vm.VCPUs != 2 || vm.MemoryMiB != 1024 || vm.DiskGiB != 10 || vm.Power != models.PowerStopped {
				t.Fatalf("%+v comes after %q", vm, last)
			}
			last = vm.VMID
			got[vm.VMID] = true
		}
		if page.Next == "" {
			break
		}
		req.Token = page.Next
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d VMs are listed, want %d", len(got), len(want))
	}
	mu.Lock()
	defer mu.Unlock()
	if wantCalls := map[string]int{"/api2/json/cluster/resources": count / limit}; !maps.Equal(calls, wantCalls) {
		t.Errorf("calls: %v, want %v", calls, wantCalls)
	}
}

func TestPageTokensOfSomebodyElse(t *testing.T) {
	p := openWith(t, testConfig(newPeer(t, proxmoxsim.Options{}).url, nil))
	for _, token := range []string{"nonsense", "0", "-1", "../..", "\x00", vmid.PageToken(Kind, "x"), vmid.PageToken(Kind, testVM) + "="} {
		_, err := p.ListVMs(t.Context(), providers.PageRequest{Token: token})
		wantCode(t, token, err, providers.InvalidArgument)
	}
	_, err := p.ListVMs(t.Context(), providers.PageRequest{Limit: -1})
	wantCode(t, "a negative limit", err, providers.InvalidArgument)
}
