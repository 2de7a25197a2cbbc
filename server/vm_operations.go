package server

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/store"
	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/server/api"
)

const (
	// maxUserData bounds cloud-init user data, in bytes.
	maxUserData = 64 << 10
	// defaultGuestTimeout and maxGuestTimeout are how long a guest may take to
	// go down.
	defaultGuestTimeout = time.Minute
	maxGuestTimeout     = time.Hour
)

// CreateVM accepts a VM.
func (s *Server) CreateVM(ctx context.Context, r api.CreateVMRequestObject) (api.CreateVMResponseObject, error) {
	in, err := createVM(r.ProjectID, *r.Body)
	if err != nil {
		return nil, err
	}
	body := func(vmID, jobID string) any {
		return api.AcceptedVM{VMID: vmID, ResourceID: vmID, JobID: jobID}
	}
	return s.accept(ctx, body, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptCreateVM(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

// createVM checks what the description cannot say and fills in the defaults.
func createVM(projectID string, b api.CreateVMRequest) (in store.CreateVM, err error) {
	in = store.CreateVM{
		ProjectID: projectID, Name: b.Name, Description: valueOf(b.Description), ImageID: b.ImageID, FlavorID: b.FlavorID,
		DiskGiB: valueOf(b.DiskGib), UserData: []byte(valueOf(b.UserData)),
		Metadata: valueOf(b.Metadata), Tags: valueOf(b.Tags),
		Start: valueOr(b.Start, true), DeleteProtection: valueOf(b.DeleteProtection),
	}
	if b.Placement != nil {
		in.ZoneID, in.Location = valueOf(b.Placement.Zone), valueOf(b.Placement.Location)
	}
	var bad []fieldError
	if len(in.UserData) > maxUserData {
		bad = append(bad, fieldError{Pointer: "/user_data", Detail: fmt.Sprintf("must be at most %d bytes", maxUserData)})
	}
	bad = append(bad, checkKeys("metadata", in.Metadata)...)
	bad = append(bad, checkKeys("tags", in.Tags)...)
	for i, n := range valueOf(b.Networks) {
		nic := store.NICRequest{NetworkID: n.NetworkID}
		if n.IPAddress != nil {
			ip, ok := hostAddress(*n.IPAddress)
			if !ok {
				bad = append(bad, fieldError{Pointer: fmt.Sprintf("/networks/%d/ip_address", i), Detail: notHost})
			}
			nic.IPAddress = ip
		}
		in.Networks = append(in.Networks, nic)
	}
	if len(bad) > 0 {
		return in, newProblem(CodeInvalidArgument, "the request does not match the API's description", bad...)
	}
	in.SSHKeys, err = publicKeys(valueOf(b.SSHKeys))
	return in, err
}

// notHost is what is wrong with an address that no interface may have.
const notHost = "must be the IP address of one host"

// hostAddress brings the address of an interface into its canonical form.
func hostAddress(s string) (canonical string, ok bool) {
	ip, err := netip.ParseAddr(s)
	ok = err == nil && ip.Zone() == "" && !ip.IsUnspecified() && !ip.IsMulticast() && !ip.IsLoopback()
	return ip.Unmap().String(), ok
}

// checkKeys demands keys that can stand in a filter.
func checkKeys[V any](field string, m map[string]V) []fieldError {
	for key := range m {
		if !isLabelKey(key) {
			return []fieldError{{Pointer: pointer([]string{field, key}), Detail: "a key is 1 to 63 of A-Z a-z 0-9 . _ / -"}}
		}
	}
	return nil
}

func isLabelKey(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
		if !alnum && c != '.' && c != '_' && c != '/' && c != '-' {
			return false
		}
	}
	return true
}

// DeleteVM accepts the deletion of a VM.
func (s *Server) DeleteVM(ctx context.Context, r api.DeleteVMRequestObject) (api.DeleteVMResponseObject, error) {
	in := store.VMOperation{ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMDelete, Preempt: true}
	return s.acceptVM(ctx, in, r.Params.IfMatch)
}

// StartVM accepts the start of a VM.
func (s *Server) StartVM(ctx context.Context, r api.StartVMRequestObject) (api.StartVMResponseObject, error) {
	in := store.VMOperation{ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMStart}
	return s.acceptVM(ctx, in, r.Params.IfMatch)
}

// StopVM accepts the stop of a VM.
func (s *Server) StopVM(ctx context.Context, r api.StopVMRequestObject) (api.StopVMResponseObject, error) {
	body := valueOf(r.Body)
	timeout, err := guestTimeout(body.Timeout)
	if err != nil {
		return nil, err
	}
	mode := models.PowerMode(valueOr(body.Mode, api.StopVMRequestMode(models.ModeGraceful)))
	in := store.VMOperation{
		ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMStop, Preempt: mode == models.ModeForce,
		Params: models.OperationParams{Mode: mode, TimeoutSeconds: timeout},
	}
	return s.acceptVM(ctx, in, r.Params.IfMatch)
}

// RebootVM accepts the reboot of a VM.
func (s *Server) RebootVM(ctx context.Context, r api.RebootVMRequestObject) (api.RebootVMResponseObject, error) {
	body := valueOf(r.Body)
	timeout, err := guestTimeout(body.Timeout)
	if err != nil {
		return nil, err
	}
	in := store.VMOperation{
		ProjectID: r.ProjectID, VMID: r.VMID, Kind: models.OpVMReboot,
		Params: models.OperationParams{
			Mode:           models.PowerMode(valueOr(body.Mode, api.RebootVMRequestMode(models.ModeGraceful))),
			TimeoutSeconds: timeout,
		},
	}
	return s.acceptVM(ctx, in, r.Params.IfMatch)
}

func (s *Server) acceptVM(ctx context.Context, in store.VMOperation, match *string) (receipt, error) {
	var err error
	if in.IfMatch, err = ifMatch(match); err != nil {
		return receipt{}, err
	}
	return s.accept(ctx, acceptedBody, func(idem *store.Idempotency, respond store.Respond) (store.Accepted, error) {
		return s.store.AcceptVMOperation(ctx, requestOf(ctx).caller(), in, idem, respond)
	})
}

// guestTimeout reads how long a guest may take, in seconds.
func guestTimeout(v *string) (int, error) {
	d := defaultGuestTimeout
	if v != nil {
		d = isoDuration(*v)
	}
	if d < time.Second || d > maxGuestTimeout {
		return 0, newProblem(CodeInvalidArgument, "the timeout is out of range", fieldError{Pointer: "/timeout", Detail: "must be from PT1S to PT1H"})
	}
	return int(d / time.Second), nil
}

// isoDuration reads an ISO 8601 duration of hours, minutes and seconds, which
// the description has let through; 0 for what it has not.
func isoDuration(s string) time.Duration {
	d, err := time.ParseDuration(strings.ToLower(strings.TrimPrefix(s, "PT")))
	if err != nil {
		return 0
	}
	return d
}
