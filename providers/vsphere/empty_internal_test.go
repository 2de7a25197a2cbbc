package vsphere

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// withISO puts a medium on the peer's datastore, and returns what names it.
func withISO(t *testing.T, s *vspheresim.Server) string {
	t.Helper()
	ref, err := putISO(s)
	require.NoError(t, err)
	return ref
}

func putISO(s *vspheresim.Server) (string, error) {
	for _, e := range s.Model.Map().All("Datastore") {
		ds, ok := e.(*simulator.Datastore)
		if !ok || ds.Name != "LocalDS_0" {
			continue
		}
		dir := filepath.Join(ds.Info.GetDatastoreInfo().Url, "media")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return "", err
		}
		return "[" + ds.Name + "] media/install.iso", os.WriteFile(filepath.Join(dir, "install.iso"), []byte("medium"), 0o600)
	}
	return "", errors.New("there is no datastore")
}

// TestAMediumIsAnImageToo shows that a VM is made with an empty disk and the medium,
// and that answers which are lost leave one.
func TestAMediumIsAnImageToo(t *testing.T) {
	t.Parallel()
	for name, peer := range peers() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, p := openPeer(t, peer.opts)
			ref := withISO(t, s)
			for _, method := range []string{"", "CreateVM_Task", "ReconfigVM_Task", "MakeDirectory"} {
				req := peer.request()
				req.Image = models.ImageBinding{Ref: ref}
				s.LoseAnswer(method)
				life(t, p, func() *Provider { return p }, req)
			}
			req := peer.request()
			req.Image = models.ImageBinding{Ref: ref}
			m := made(t, p, req)
			wantAsAsked(t, m, req)
			var media []string
			for _, d := range devices(&m.VM) {
				if drive, ok := d.(*types.VirtualCdrom); ok {
					if iso, ok := drive.Backing.(*types.VirtualCdromIsoBackingInfo); ok {
						media = append(media, iso.FileName)
					}
				}
			}
			require.Equal(t, []string{ref}, media)
			require.Equal(t, 1, machines(t, s))

			for _, missing := range []string{"[LocalDS_0] media/other.iso", "[LocalDS_0] nowhere/install.iso", "[other] media/install.iso"} {
				req := peer.request()
				req.Image.Ref = missing
				_, _, err := p.CreateVM(t.Context(), req)
				wantCode(t, missing, err, providers.NotFound)
			}
		})
	}
}
