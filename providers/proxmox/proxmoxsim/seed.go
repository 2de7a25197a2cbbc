package proxmoxsim

import (
	"io"
	"strings"

	"github.com/kdomanski/iso9660"
)

// seedOf returns the user data on an ISO image in a drive of the guest, which
// cloud-init's NoCloud source reads; nil without one. The caller holds Server.mu.
func (s *Server) seedOf(g *guest) []byte {
	for _, key := range g.Config.drives() {
		v := s.state.volume(g.Node, parseDrive(g.Config[key]).file)
		if v == nil || v.Content != "iso" {
			continue
		}
		if data := userDataOf(v.Data); data != nil {
			return data
		}
	}
	return nil
}

// userDataOf returns the file user-data of an image; nil for one without.
func userDataOf(image string) []byte {
	opened, err := iso9660.OpenImage(strings.NewReader(image))
	if err != nil {
		return nil
	}
	root, err := opened.RootDir()
	if err != nil {
		return nil
	}
	files, err := root.GetChildren()
	if err != nil {
		return nil
	}
	for _, f := range files {
		if f.Name() == "user-data" {
			data, err := io.ReadAll(f.Reader())
			if err != nil {
				return nil
			}
			return data
		}
	}
	return nil
}
