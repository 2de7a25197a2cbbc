package store

import (
	"context"
	"errors"
	"slices"
	"strings"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// AttachNIC is an interface that is asked for.
type AttachNIC struct {
	ProjectID string
	VMID      string
	NICRequest
	// IfMatch is the VM's generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptAttachNIC takes the VM's lock for a job that attaches an interface, and
// its address. The interface stands among the VM's at once, ATTACHING. The
// answer's resource is the interface. Errors: as AcceptVMOperation, *LimitError,
// *ReferenceError, *AddressInUseError, *AddressesExhaustedError, *QuotaError.
func (s *Store) AcceptAttachNIC(ctx context.Context, c Caller, in AttachNIC, idem *Idempotency, respond Respond) (Accepted, error) {
	nic := models.NIC{MAC: newMAC()}
	want := VMOperation{
		ProjectID: in.ProjectID, VMID: in.VMID, Kind: models.OpNICAttach, IfMatch: in.IfMatch,
		Params: models.OperationParams{MAC: nic.MAC, NetworkID: in.NetworkID, IPAddress: in.IPAddress},
	}
	return s.acceptOnVM(ctx, c, want, nic.ID(), idem, respond, func(tx *gorm.DB, _ lockedVM, op *models.Operation) error {
		return s.takePart(tx, *op)
	})
}

// DetachNIC is the end of an interface that is asked for.
type DetachNIC struct {
	ProjectID string
	VMID      string
	NICID     string
	// IfMatch is the VM's generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// AcceptDetachNIC takes the VM's lock for a job that detaches an interface. The
// answer's resource is the interface. Errors: as AcceptVMOperation.
func (s *Store) AcceptDetachNIC(ctx context.Context, c Caller, in DetachNIC, idem *Idempotency, respond Respond) (Accepted, error) {
	var nic models.NIC
	want := VMOperation{
		ProjectID: in.ProjectID, VMID: in.VMID, Kind: models.OpNICDetach, IfMatch: in.IfMatch,
		find: func(tx *gorm.DB) error {
			vm, err := attachedTo(tx, in.VMID)
			if err != nil {
				return err
			}
			i := slices.IndexFunc(vm.NICs, func(n models.NIC) bool { return n.ID() == in.NICID })
			if i < 0 {
				return models.ErrNotFound
			}
			nic = vm.NICs[i]
			return nil
		},
	}
	return s.acceptOnVM(ctx, c, want, in.NICID, idem, respond, func(tx *gorm.DB, _ lockedVM, op *models.Operation) error {
		op.Params.MAC, op.Params.NetworkID = nic.MAC, nic.NetworkID
		return s.takePart(tx, *op)
	})
}

// networkedVM is what attaching an interface looks at.
type networkedVM struct {
	NICs       []models.NIC `gorm:"serializer:json;column:nics"`
	ProviderID string
	ClusterID  string
}

func attachedTo(tx *gorm.DB, vmID string) (networkedVM, error) {
	var vm networkedVM
	err := scanOne(tx, &vm, "read the VM's interfaces", "SELECT nics, provider_id, cluster_id FROM vms WHERE id = ?", vmID)
	return vm, err
}

// takeNIC adds the interface of a job to its VM's, with an address and its
// share of the quotas.
func (s *Store) takeNIC(tx *gorm.DB, op models.Operation) error {
	vm, err := attachedTo(tx, op.ResourceID)
	if err != nil {
		return err
	}
	p := op.Params
	if slices.ContainsFunc(vm.NICs, func(n models.NIC) bool { return n.MAC == p.MAC }) {
		return nil // of the run before
	}
	if len(vm.NICs) >= models.MaxNICs {
		return &LimitError{What: "interfaces of the VM", Limit: models.MaxNICs}
	}
	if err := s.bound(tx, p.NetworkID, vm); err != nil {
		return err
	}
	var r models.Reservation
	if err := tx.Take(&r, "vm_id = ?", op.ResourceID).Error; err != nil {
		return found(err, "read the reservation")
	}
	r.JobID = op.ID // of the address
	nics := []models.NIC{{NetworkID: p.NetworkID, IPAddress: p.IPAddress, Requested: p.IPAddress != "", MAC: p.MAC, Status: models.NICAttaching}}
	taken, err := s.takeAddresses(tx, r, nics)
	if err != nil {
		return ofOneNIC(err)
	}
	if err := setNICs(tx, op.ResourceID, append(vm.NICs, nics...)); err != nil {
		return err
	}
	return s.checkQuota(tx, op.TenantID, op.ProjectID, models.QuotaUsage{Addresses: taken})
}

// bound demands a network that is there where the VM is. *ReferenceError.
func (s *Store) bound(tx *gorm.DB, networkID string, vm networkedVM) error {
	err := s.refer(tx, "networks", networkID)
	if errors.Is(err, models.ErrNotFound) {
		return &ReferenceError{Field: "/network_id", Detail: "there is no such network"}
	}
	if err != nil {
		return err
	}
	var n int64
	err = scanOne(tx, &n, "look for the network's binding",
		"SELECT count(*) FROM network_bindings WHERE network_id = ? AND provider_id = ? AND cluster_id IN ('', ?)", networkID, vm.ProviderID, vm.ClusterID)
	if err == nil && n == 0 {
		return &ReferenceError{Field: "/network_id", Detail: "the network is not available where the VM is"}
	}
	return err
}

// ofOneNIC makes the pointers of an error about the first of a VM's networks
// those of a body that is one network.
func ofOneNIC(err error) error {
	const first = "/networks/0"
	pointer := func(field string) string {
		if field == first {
			return "/network_id"
		}
		return strings.TrimPrefix(field, first)
	}
	var reference *ReferenceError
	var inUse *AddressInUseError
	var exhausted *AddressesExhaustedError
	switch {
	case errors.As(err, &reference):
		return &ReferenceError{Field: pointer(reference.Field), Detail: reference.Detail}
	case errors.As(err, &inUse):
		return &AddressInUseError{Field: pointer(inUse.Field)}
	case errors.As(err, &exhausted):
		return &AddressesExhaustedError{Field: pointer(exhausted.Field)}
	}
	return err
}

// markNICRemoved notes the job that detaches an interface. models.ErrNotFound.
func markNICRemoved(tx *gorm.DB, op models.Operation) error {
	vm, err := attachedTo(tx, op.ResourceID)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(vm.NICs, func(n models.NIC) bool { return n.MAC == op.Params.MAC })
	if i < 0 {
		return models.ErrNotFound
	}
	vm.NICs[i].RemovingJobID = op.ID
	return setNICs(tx, op.ResourceID, vm.NICs)
}

// settleNIC writes what became of the interface that a job attached or, with
// removing set, was to detach: one that is proven absent is forgotten, and its
// address given back.
func settleNIC(tx *gorm.DB, job heldJob, in models.Settlement, removing bool, changes map[string]any) error {
	nics := slices.Clone(job.NICs)
	i := slices.IndexFunc(nics, func(n models.NIC) bool { return n.MAC == job.Params.MAC })
	if i < 0 {
		return nil
	}
	if removing {
		nics[i].RemovingJobID = ""
	}
	gone := in.Part == models.PartAbsent || in.Part == models.PartUntouched && nics[i].Status == models.NICAttaching
	switch {
	case gone:
		if _, err := exec(tx, "give the address back", "DELETE FROM addresses WHERE vm_id = ? AND mac = ?", job.VMID, nics[i].MAC); err != nil {
			return err
		}
		nics = slices.Delete(nics, i, i+1)
	case in.Part == models.PartPresent && (removing || in.Outcome == models.OutcomeSucceeded):
		nics[i].Status = ""
	case in.Part != models.PartUntouched:
		nics[i].Status = models.NICError
	}
	value, err := jsonText(nics)
	changes["nics"] = value
	return err
}
