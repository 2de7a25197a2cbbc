package proxmoxsim

import "fmt"

// AddVolume puts a disk on a storage that no guest's configuration names, as an
// interrupted removal leaves it, and returns the volume's ID. Its name has the
// VMID.
func (s *Server) AddVolume(storage, node string, vmid int, size int64) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	store, err := s.state.storageOn(storage, node)
	if err != nil {
		return "", fmt.Errorf("proxmoxsim: %w", err)
	}
	return s.state.allocate(store, node, vmid, size, "disk").id(), nil
}
