package vsphere

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The roles of vSphere's own that let nobody read a VM (AuthorizationManager).
const (
	roleNoAccess  = -5
	roleAnonymous = -4
	roleView      = -3
)

// sees is an error where our account may not see our VMs: a search leaves them out
// then, which proves nothing. It looks at the account's roles on the folder of our
// VMs where its path is configured, and else on the root of the inventory.
func (p *Provider) sees(ctx context.Context, op string) *providers.Error {
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		at := c.ServiceContent.RootFolder
		if strings.HasPrefix(p.cfg.folder, "/") {
			found, err := byPath(ctx, c, p.cfg.folder)
			if err != nil {
				return err
			}
			if found == nil {
				return blind(op, "the folder "+p.cfg.folder+" is not there, or our account may not see it")
			}
			at = *found
		}
		var folder mo.ManagedEntity
		if err := property.DefaultCollector(c).RetrieveOne(ctx, at, []string{"effectiveRole"}, &folder); err != nil {
			return err
		}
		roles := slices.DeleteFunc(slices.Clone(folder.EffectiveRole), func(role int32) bool {
			return role == roleNoAccess || role == roleAnonymous || role == roleView
		})
		if len(folder.EffectiveRole) > 0 && len(roles) == 0 {
			return blind(op, "our account has no role on "+at.Value+" that reads VMs")
		}
		return nil
	})
	return err
}

func blind(op, why string) error {
	return fail(op, providers.PermissionDenied, errors.New(why), "our hypervisor account may not see VMs")
}
