package vsphere

import (
	"fmt"
	"slices"
	"strings"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/vim25/types"
)

// deniedError adds to a refusal which privileges our account lacks, and where: the
// text of the hypervisor's fault leaves that out. It is for operators.
type deniedError struct {
	err     error
	lacking string
}

func (e *deniedError) Error() string { return e.err.Error() + ": our account lacks " + e.lacking }
func (e *deniedError) Unwrap() error { return e.err }

// denied names what is lacking in a refusal. Any other error stays as it is.
func denied(err error) error {
	var lacking []string
	fault.In(err, func(f types.BaseMethodFault, _ string, _ []types.LocalizableMessage) bool {
		refusal, ok := f.(*types.NoPermission)
		if !ok {
			return false
		}
		for _, m := range refusal.MissingPrivileges {
			lacking = append(lacking, fmt.Sprintf("%s on %s", strings.Join(m.PrivilegeIds, ", "), m.Entity.Value))
		}
		// What servers before 7.0.3 tell.
		if len(lacking) == 0 && refusal.PrivilegeId != "" && refusal.Object != nil {
			lacking = append(lacking, fmt.Sprintf("%s on %s", refusal.PrivilegeId, refusal.Object.Value))
		}
		return len(lacking) > 0
	})
	if len(lacking) == 0 {
		return err
	}
	slices.Sort(lacking)
	return &deniedError{err: err, lacking: strings.Join(lacking, "; ")}
}
