package vsphere

import (
	"context"
	"strings"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// licences tell what a vCenter's hosts are licensed for, by the host's reference. A
// host that is not in it is not known.
type licences map[string]types.LicenseManagerLicenseInfo

// licences reads which licence each host has. An account that may not read them
// learns nothing: the hypervisor refuses then what is not licensed.
func (p *Provider) licences(ctx context.Context, op string) (licences, *providers.Error) {
	out := licences{}
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		if !c.IsVC() || c.ServiceContent.LicenseManager == nil {
			return nil
		}
		var manager mo.LicenseManager
		err := property.DefaultCollector(c).RetrieveOne(
			ctx, *c.ServiceContent.LicenseManager, []string{"licenseAssignmentManager"}, &manager)
		if err != nil || manager.LicenseAssignmentManager == nil {
			return err
		}
		res, err := methods.QueryAssignedLicenses(ctx, c, &types.QueryAssignedLicenses{This: *manager.LicenseAssignmentManager})
		if err != nil {
			return err
		}
		for _, a := range res.Returnval {
			out[a.EntityId] = a.AssignedLicense
		}
		return nil
	})
	if hasCode(err, providers.PermissionDenied) {
		return licences{}, nil
	}
	return out, err
}

// evaluation is the edition that has every feature for a time.
const evaluation = "eval"

// lacks reports whether a host is known to have a licence without the feature.
func (l licences) lacks(host types.ManagedObjectReference, feature types.LicenseManagerLicenseKey) bool {
	info, known := l[host.Value]
	if !known || info.EditionKey == evaluation {
		return false
	}
	listed := false
	for _, property := range info.Properties {
		value, ok := property.Value.(types.KeyValue)
		if property.Key != "feature" || !ok {
			continue
		}
		listed = true
		// A feature with a size has it behind a colon.
		if name, _, _ := strings.Cut(value.Key, ":"); name == string(feature) {
			return false
		}
	}
	return listed
}
