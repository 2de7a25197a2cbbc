package workflows_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// TestFaultMatrixOnProxmox is the same for the adapter of Proxmox VE.
func TestFaultMatrixOnProxmox(t *testing.T) {
	faultMatrix(t, proxmoxBreed(), "../docs/fault-matrix-proxmox.md", func(t *testing.T, tables string) string {
		t.Helper()
		return differences(t, tables, "../docs/fault-matrix.md", "the simulated hypervisor", proxmoxReasons())
	})
}

// proxmoxReasons say why a step under a disturbance ends on Proxmox VE as it does on
// no other hypervisor, by both of their names.
func proxmoxReasons() map[string]string { return clonesFailAlike() }

// clonesFailAlike is for hypervisors on which a clone that fails leaves nothing.
func clonesFailAlike() map[string]string {
	const atOnce = "a clone that fails leaves nothing, so that all three failures meet clones; there one meets the removal of what a failure left"
	return map[string]string{"CreateVM, work fails": atOnce, "CloneVM, work fails": atOnce}
}

// proxmoxBreed is a cluster of two nodes that runs Proxmox VE.
func proxmoxBreed() breed {
	return breed{
		name: "proxmox", kind: proxmox.Kind, says: proxmoxDialect(), on: "a simulated Proxmox VE cluster", heard: proxmoxSpeech(), open: proxmox.Factory().Open,
		credentials: models.Credentials{Token: proxmoxsim.DefaultToken},
		options:     map[string]string{"snippet_storage": "shared", "credential_cool_down": "1ms"},
		tiny:        "9000", other: "9001", network: "vmbr0",
		full: simadmin.Fault{
			Kind: simadmin.FaultErrorBefore, Status: http.StatusInternalServerError, Code: "clone failed: unable to create image: not enough free space",
		},
		fresh: "image debian-12",
		fatal: map[string]models.JobErrorCode{
			"made in part": models.JobProviderRejected, // a clone without a disk is one of a template without a disk
		},
		cold: true, dozes: models.PowerPaused, withdraw: unsupported,
		start: func(t *testing.T) http.Handler {
			t.Helper()
			hv, err := proxmoxsim.New(proxmoxsim.Options{
				Nodes: 2, NodeVCPUs: 1000, NodeMemoryMiB: 1 << 20, TaskDelay: 2 * time.Millisecond, SnippetUpload: true,
				Templates: []proxmoxsim.Template{
					{VMID: 9000, Name: "tiny", Storage: "shared", DiskGiB: 1, VCPUs: 1, MemoryMiB: 128},
					{VMID: 9001, Name: "debian-12", Storage: "shared", DiskGiB: 2, VCPUs: 1, MemoryMiB: 128},
				},
			})
			require.NoError(t, err)
			t.Cleanup(func() { require.NoError(t, hv.Close()) })
			return hv
		},
	}
}

// proxmoxSpeech names what is asked of Proxmox VE by method and path, without the
// names of nodes and VMs.
func proxmoxSpeech() speech {
	named := regexp.MustCompile(`^(nodes|qemu|storage|snapshot|tasks)/[^/]+`)
	return speech{
		operation: func(r *http.Request) (string, bool) {
			path, ours := strings.CutPrefix(r.URL.Path, "/api2/json/")
			for rest, done := path, ""; ours && rest != ""; {
				if part := named.FindString(rest); part != "" {
					kind, _, _ := strings.Cut(part, "/")
					rest, done = strings.TrimPrefix(rest[len(part):], "/"), done+"/"+kind
				} else {
					part, left, _ := strings.Cut(rest, "/")
					rest, done = left, done+"/"+part
				}
				path = done
			}
			switch {
			case r.Method == http.MethodGet && strings.HasSuffix(path, "/tasks/status"):
				return "poll_task", ours
			case r.Method == http.MethodGet:
				return "find_" + path, ours
			case strings.HasSuffix(path, "proxy"):
				return "console " + path, ours
			case path == "/access/ticket":
				return "login", ours
			}
			return r.Method + " " + path + proxmoxChange(r), ours
		},
		work: func(body []byte) string {
			var made struct{ Data any }
			if json.Unmarshal(body, &made) != nil {
				return ""
			}
			if upid, _ := made.Data.(string); strings.HasPrefix(upid, "UPID:") {
				return upid
			}
			return ""
		},
	}
}

// proxmoxChange tells what a write of a configuration does to disks: an import of
// one and the removal of another are different work by the same call.
func proxmoxChange(r *http.Request) string {
	if !strings.HasSuffix(r.URL.Path, "/config") {
		return ""
	}
	body, err := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	switch {
	case err != nil:
		return ""
	case strings.Contains(string(body), "import-from"):
		return " import"
	case strings.Contains(string(body), "unused"):
		return " remove"
	}
	return ""
}
