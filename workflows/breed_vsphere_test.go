package workflows_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestFaultMatrixOnVSphere is the same for the adapter of vSphere.
func TestFaultMatrixOnVSphere(t *testing.T) {
	faultMatrix(t, vsphereBreed(), "../docs/fault-matrix-vsphere.md", func(t *testing.T, tables string) string {
		t.Helper()
		return differences(t, tables, "../docs/fault-matrix.md", "the simulated hypervisor", vsphereReasons())
	})
}

// TestFaultMatrixOnESXi is the same for an ESXi host that stands alone.
func TestFaultMatrixOnESXi(t *testing.T) {
	faultMatrix(t, esxiBreed(), "../docs/fault-matrix-esxi.md", func(t *testing.T, tables string) string {
		t.Helper()
		return esxiSubset + differences(t, tables, "../docs/fault-matrix.md", "the simulated hypervisor", esxiReasons())
	})
}

// esxiSubset says which cells are not run on an ESXi host.
const esxiSubset = `
A cell with * is not run here: that a step fails, that a worker dies and that a cancel comes before a step is tried on this host at each step by the
test of the operation (` + "`go test ./workflows -run UnderFaults/esxi`" + `).
`

// esxiReasons are as vsphereReasons.
func esxiReasons() map[string]string {
	const first = "what fails is the making of the VM itself, three times, which leaves nothing; there one failure meets the removal of what another one left"
	return map[string]string{"CreateVM, work fails": first, "CloneVM, work fails": first}
}

// vsphereReasons say why a step under a disturbance ends on vSphere as it does on no
// other hypervisor, by both of their names.
func vsphereReasons() map[string]string { return clonesFailAlike() }

// vsphereBreed is a vCenter with a cluster of two hosts.
func vsphereBreed() breed {
	return breed{
		name: "vsphere", kind: vsphere.Kind, says: vsphereDialect(), on: "a simulated vCenter", heard: vsphereSpeech(), open: vsphere.Factory().Open,
		credentials: models.Credentials{Username: vspheresim.Username, Password: vspheresim.Password},
		tiny:        "tiny", other: "debian-12", network: vspheresim.Network,
		full:  simadmin.Fault{Kind: simadmin.FaultTaskFails, Code: "NoDiskSpace"},
		start: startVSphere(vspheresim.Options{}), forgets: true, dozes: models.PowerSuspended, withdraw: unsupported,
	}
}

// esxiBreed is an ESXi host that stands alone.
func esxiBreed() breed {
	b := vsphereBreed()
	b.name, b.says, b.on = "esxi", esxiDialect(), "a simulated ESXi host that stands alone"
	b.start = startVSphere(vspheresim.Options{ESXi: true})
	b.elsewhere = []disturbance{failsBefore, failsAfter, diesBefore, diesAfter, cancelBefore}
	b.lacks = map[models.OperationKind]string{models.OpVMMigrate: "there is no other host, and no vCenter that would move a VM"}
	return b
}

// startVSphere starts a vCenter or an ESXi host, with the images of a world.
func startVSphere(o vspheresim.Options) func(t *testing.T) http.Handler {
	return func(t *testing.T) http.Handler {
		t.Helper()
		o.NodeVCPUs, o.NodeMemoryMiB, o.TaskDelay = 1000, 1<<20, 2*time.Millisecond
		o.Templates = []vspheresim.Image{{Name: "tiny", DiskGiB: 1}, {Name: "debian-12", DiskGiB: 2}}
		hv, err := vspheresim.Start(o)
		require.NoError(t, err)
		t.Cleanup(hv.Close)
		return hv
	}
}

// vsphereSpeech names what is asked of vSphere by the method of the API.
func vsphereSpeech() speech {
	task := regexp.MustCompile(`<returnval[^>]* type="Task"[^>]*>([^<]+)</returnval>`)
	reading := regexp.MustCompile(`<RetrieveProperties(Ex)?[ >]`)
	return speech{
		operation: func(r *http.Request) (string, bool) {
			if r.Method != http.MethodPost || !strings.HasPrefix(r.URL.Path, "/sdk") {
				return "", false
			}
			raw, err := io.ReadAll(r.Body)
			r.Body = io.NopCloser(bytes.NewReader(raw))
			if err != nil {
				return "", false
			}
			if reading.Match(raw) { // most calls are: to parse them all takes its time
				return "find_properties", true
			}
			call, err := simulator.UnmarshalBody(types.TypeFunc(), raw)
			if err != nil {
				return "", false
			}
			return vsphereOperation(call), true
		},
		work: func(body []byte) string {
			if found := task.FindSubmatch(body); found != nil {
				return string(found[1])
			}
			return ""
		},
	}
}

// vsphereOperation names a call. What changes nothing is named as reads are, and what
// is done to a file is another work for each file.
func vsphereOperation(call *simulator.Method) string {
	switch call.Name {
	case "Login", "Logout", "LoginByToken":
		return "login"
	case "RetrieveServiceContent":
		return "info"
	case "AcquireTicket":
		return "console"
	}
	switch req := call.Body.(type) {
	case *types.DeleteVirtualDisk_Task:
		return call.Name + " " + req.Name
	case *types.CopyVirtualDisk_Task:
		return call.Name + " " + req.DestName
	case *types.ReconfigVM_Task:
		return call.Name + " " + vsphereChange(req.Spec)
	case *types.RetrieveProperties, *types.RetrievePropertiesEx:
		if strings.Contains(call.This.Value, "ropertyCollector") {
			return "find_properties"
		}
	}
	for _, reading := range []string{"Find", "Query", "Continue", "Retrieve", "Search", "CreateContainerView", "DestroyView", "GetCurrentTime", "CurrentTime"} {
		if strings.HasPrefix(call.Name, reading) {
			return "find_" + call.Name
		}
	}
	return call.Name
}

// vsphereChange tells what a write of a configuration does. What it notes alone is
// told apart by what the note says: several notes are several pieces of work.
func vsphereChange(spec types.VirtualMachineConfigSpec) string {
	var did []string
	for _, change := range spec.DeviceChange {
		c := change.GetVirtualDeviceConfigSpec()
		did = append(did, string(c.Operation)+" "+reflect.TypeOf(c.Device).Elem().Name())
	}
	if spec.NumCPUs != 0 || spec.MemoryMB != 0 {
		did = append(did, "resize")
	}
	if len(did) == 0 {
		var noted strings.Builder
		for _, o := range spec.ExtraConfig {
			v := o.GetOptionValue()
			text, _ := v.Value.(string)
			noted.WriteString(v.Key + "=" + text + "\n")
		}
		sum := sha256.Sum256([]byte(noted.String()))
		return "note " + hex.EncodeToString(sum[:4])
	}
	slices.Sort(did)
	return strings.Join(did, ", ")
}
