package store

import (
	"context"
	"errors"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// What other tables' deletes call, for the tests.
var (
	ForgetPrincipal = forgetPrincipal
	ForgetProject   = forgetProject
	ForgetTenant    = forgetTenant
)

// Verdict says why the VM does not take an operation of any kind now; nil if it
// does. It changes nothing.
func (s *Store) Verdict(ctx context.Context, c Caller, in VMOperation) error {
	taken := errors.New("taken")
	respond := func(string, string) (Answer, error) { return Answer{}, nil }
	_, err := s.acceptOnVM(ctx, c, in, in.VMID, nil, respond, func(*gorm.DB, lockedVM, *models.Operation) error { return taken })
	if errors.Is(err, taken) {
		return nil
	}
	return err
}
