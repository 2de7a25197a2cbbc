package proxmox

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simadmin"
)

// A migration that ends between the look at the VM and the look at the node's
// tasks is over; one that nobody is seen at work on goes on.
func TestAMigrationEndsWhileItIsLookedAt(t *testing.T) {
	for _, tc := range []struct {
		name   string
		locked int32 // how often the VM is seen locked
		want   providers.Code
	}{
		{"it ended", 1, ""},
		{"it goes on", 1000, providers.Aborted},
	} {
		t.Run(tc.name, func(t *testing.T) {
			sim := newPeer(t, proxmoxsim.Options{})
			sim.newVM(t, simadmin.NewVM{Mark: ourMark(testVM)})
			var looks atomic.Int32
			url := answering(t, func(w http.ResponseWriter, r *http.Request) {
				if !strings.HasSuffix(r.URL.Path, "/status/current") || looks.Add(1) > tc.locked {
					sim.sim.ServeHTTP(w, r)
					return
				}
				w.Header().Set("Content-Type", "application/json")
				_, err := io.WriteString(w, `{"data":{"status":"running","qmpstatus":"running","lock":"migrate"}}`)
				if err != nil {
					t.Error(err)
				}
			})
			p := openWith(t, testConfig(url, nil))
			task, err := p.AbortMigration(t.Context(), providers.Target{VMID: testVM})
			if task != "" || providers.CodeOf(err) != tc.want {
				t.Errorf("AbortMigration = %q, %v, want the code %q", task, err, tc.want)
			}
		})
	}
}
