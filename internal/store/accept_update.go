package store

import (
	"context"
	"fmt"
	"maps"
	"time"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// MaxLabels is how many tags, and how many metadata, a VM may have.
const MaxLabels = 64

// UpdateVM is a change of what a VM is called and labelled. Nil leaves a field
// as it is.
type UpdateVM struct {
	ProjectID        string
	VMID             string
	Name             *string
	Description      *string
	DeleteProtection *bool
	// Metadata and Tags are merged (RFC 7396): a nil value removes its key.
	Metadata map[string]*string
	Tags     map[string]*string
	// IfMatch is the generation that the caller has seen; nil does not ask.
	IfMatch *int
}

// describedVM is what an update looks at, and what it changes.
type describedVM struct {
	ID                 string
	Name               string
	Description        string
	Metadata           map[string]string `gorm:"serializer:json"`
	Tags               map[string]string `gorm:"serializer:json"`
	DeleteProtection   bool
	Status             models.VMStatus
	PowerState         models.PowerState
	Generation         int
	ObservedGeneration int
}

// AcceptUpdateVM merges a change into a VM, and writes a job that has nothing
// left to do but to end: whatever job is at work on the VM goes on. What was
// asked for and holds already makes a job that succeeds as a no-op, and no new
// generation. Errors: models.ErrNotFound, *StateError, *PreconditionError,
// *ReferenceError, *NameConflictError, *IdempotencyError.
func (s *Store) AcceptUpdateVM(ctx context.Context, c Caller, in UpdateVM, idem *Idempotency, respond Respond) (Accepted, error) {
	if err := in.checkText(); err != nil {
		return Accepted{}, err
	}
	return s.accept(ctx, idem, in.VMID, respond, func(tx *gorm.DB, jobID string) (models.Operation, error) {
		var vm describedVM
		err := scanOne(tx, &vm, "lock the VM", `SELECT v.id, v.name, v.description, v.metadata, v.tags, v.delete_protection,
				v.status, v.power_state, v.generation, v.observed_generation
			FROM vms v WHERE v.id = ? AND v.project_id = ? AND v.tenant_id = ?`+s.dialect.lock("v"),
			in.VMID, in.ProjectID, c.TenantID)
		if err != nil {
			return models.Operation{}, err
		}
		now := s.now()
		changed, err := in.apply(tx, vm, now)
		if err != nil {
			return models.Operation{}, err
		}
		op := models.Operation{
			ID: jobID, TenantID: c.TenantID, ProjectID: in.ProjectID, Kind: models.OpVMUpdate,
			ResourceType: models.ResourceVM, ResourceID: vm.ID, Params: models.OperationParams{Unchanged: !changed},
			Subject: c.Subject, RequestID: c.RequestID, CreatedAt: now,
		}
		return op, wrap(tx.Create(&op).Error, "write the operation")
	})
}

// apply writes what the merged VM differs in, and reports whether that is anything.
func (in UpdateVM) apply(tx *gorm.DB, vm describedVM, now time.Time) (changed bool, err error) {
	if spec, _ := models.OperationOf(models.OpVMUpdate); !spec.Allowed.Allow(vm.Status, vm.PowerState) {
		return false, &StateError{Status: vm.Status, Power: vm.PowerState}
	}
	if in.IfMatch != nil && *in.IfMatch != vm.Generation {
		return false, &PreconditionError{Generation: vm.Generation}
	}
	changes, err := in.changes(vm)
	if err != nil || len(changes) == 0 {
		return false, err
	}
	changes["updated_at"], changes["generation"] = now, vm.Generation+1
	if vm.ObservedGeneration == vm.Generation { // nothing else is outstanding, and this is done already
		changes["observed_generation"] = vm.Generation + 1
	}
	err = tx.Model(&models.VM{}).Where("id = ?", vm.ID).UpdateColumns(changes).Error
	if takenField(err) != "" {
		return false, &NameConflictError{Field: "name"}
	}
	return true, wrap(err, "update the VM")
}

// changes are the columns in which the merged VM differs.
func (in UpdateVM) changes(vm describedVM) (map[string]any, error) {
	out := map[string]any{}
	if in.Name != nil && *in.Name != vm.Name {
		out["name"] = *in.Name
	}
	if in.Description != nil && *in.Description != vm.Description {
		out["description"] = *in.Description
	}
	if in.DeleteProtection != nil && *in.DeleteProtection != vm.DeleteProtection {
		out["delete_protection"] = *in.DeleteProtection
	}
	for _, l := range []struct {
		column string
		have   map[string]string
		patch  map[string]*string
	}{{"metadata", vm.Metadata, in.Metadata}, {"tags", vm.Tags, in.Tags}} {
		merged := mergeLabels(l.have, l.patch)
		if maps.Equal(merged, l.have) {
			continue
		}
		if len(merged) > MaxLabels {
			return nil, &ReferenceError{Field: "/" + l.column, Detail: fmt.Sprintf("the VM would have %d of them; it may have %d", len(merged), MaxLabels)}
		}
		value, err := jsonMap(merged)
		if err != nil {
			return nil, err
		}
		out[l.column] = value
	}
	return out, nil
}

func mergeLabels(have map[string]string, patch map[string]*string) map[string]string {
	merged := make(map[string]string, len(have)+len(patch))
	maps.Copy(merged, have)
	for key, value := range patch {
		if value == nil {
			delete(merged, key)
		} else {
			merged[key] = *value
		}
	}
	return merged
}

// checkText refuses what Postgres cannot keep, as CreateVM's does.
func (in UpdateVM) checkText() error {
	text := CreateVM{Metadata: mergeLabels(nil, in.Metadata), Tags: mergeLabels(nil, in.Tags)}
	if in.Name != nil {
		text.Name = *in.Name
	}
	if in.Description != nil {
		text.Description = *in.Description
	}
	return text.checkText()
}
