package vsphere

import (
	"context"
	"regexp"
	"strings"

	"github.com/vmware/govmomi/fault"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/view"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

const noSuchImage = "no such image"

// sourceProperties are what is read of what a VM is cloned from.
func sourceProperties() []string {
	return []string{"name", "parent", "config", "runtime", "datastore", "resourcePool"}
}

// template finds what an image names: a template by its name, its path in the
// inventory, its reference ("vm-12") or its instance UUID. NotFound where there is
// none, InvalidArgument for a name that several have.
func (p *Provider) template(ctx context.Context, op, ref string) (*mo.VirtualMachine, *providers.Error) {
	alone, failure := p.alone(ctx, op)
	if failure != nil {
		return nil, failure
	}
	var found []mo.VirtualMachine
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) (err error) {
		found, err = p.readTemplates(ctx, c, ref, func(vm mo.VirtualMachine) bool { return isImage(vm, alone) })
		return err
	})
	switch {
	case hasCode(err, providers.NotFound), err == nil && len(found) == 0:
		return nil, fail(op, providers.NotFound, err, noSuchImage)
	case err != nil:
		return nil, err
	case len(found) > 1:
		return nil, fail(op, providers.InvalidArgument, nil, "several images have this name: it needs its path")
	}
	return &found[0], nil
}

// isImage reports whether VMs can be made from a VM: it is a template. An ESXi host
// that stands alone has none: there it is one that is off, and no VM of ours.
func isImage(vm mo.VirtualMachine, alone bool) bool {
	if vm.Config == nil || !alone {
		return vm.Config != nil && vm.Config.Template
	}
	return extraOf(vm.Config.ExtraConfig)[keyVMID] == "" && vm.Runtime.PowerState == types.VirtualMachinePowerStatePoweredOff
}

// templateRefs are the VMs that a reference may mean, and whether it is their name.
func templateRefs(ctx context.Context, c *vim25.Client, ref string) (refs []types.ManagedObjectReference, byName bool, err error) {
	switch {
	case vmid.Valid(strings.ToLower(ref)):
		byInstance := true
		res, err := methods.FindAllByUuid(ctx, c, &types.FindAllByUuid{
			This: *c.ServiceContent.SearchIndex, Uuid: strings.ToLower(ref), VmSearch: true, InstanceUuid: &byInstance,
		})
		if err != nil {
			return nil, false, err
		}
		return res.Returnval, false, nil
	case regexp.MustCompile(`^vm-[0-9]+$`).MatchString(ref):
		// A template may be called like this too: then it is told by its path.
		return []types.ManagedObjectReference{{Type: typeVM, Value: ref}}, false, nil
	case strings.Contains(ref, "/"):
		found, err := byPath(ctx, c, ref)
		if err != nil || found == nil || found.Type != typeVM {
			return nil, false, err
		}
		return []types.ManagedObjectReference{*found}, false, nil
	}
	refs, err = vmsNamed(ctx, c, ref)
	return refs, true, err
}

const typeVM = "VirtualMachine"

// byPath finds an object by its path in the inventory, nil where there is none.
func byPath(ctx context.Context, c *vim25.Client, path string) (*types.ManagedObjectReference, error) {
	res, err := methods.FindByInventoryPath(ctx, c, &types.FindByInventoryPath{
		This: *c.ServiceContent.SearchIndex, InventoryPath: path,
	})
	if err != nil {
		return nil, err
	}
	return res.Returnval, nil
}

// vmsNamed lists the VMs and templates with a name, wherever they are.
func vmsNamed(ctx context.Context, c *vim25.Client, name string) ([]types.ManagedObjectReference, error) {
	var all []mo.VirtualMachine
	err := viewOf(ctx, c, typeVM, []string{"name"}, &all)
	var out []types.ManagedObjectReference
	for _, vm := range all {
		if vm.Name == name {
			out = append(out, vm.Self)
		}
	}
	return out, err
}

// retrieveOne reads properties of one object.
func retrieveOne(ctx context.Context, c *vim25.Client, ref types.ManagedObjectReference, properties []string, out any) error {
	return property.DefaultCollector(c).RetrieveOne(ctx, ref, properties, out)
}

// viewOf reads properties of all objects of a type. A view ends with its session: where
// it is gone when it is read, it is made anew once.
func viewOf(ctx context.Context, c *vim25.Client, kind string, properties []string, out any) error {
	err := readView(ctx, c, kind, properties, out)
	if err != nil && fault.Is(err, &types.ManagedObjectNotFound{}) {
		err = readView(ctx, c, kind, properties, out)
	}
	return err
}

func readView(ctx context.Context, c *vim25.Client, kind string, properties []string, out any) error {
	v, err := view.NewManager(c).CreateContainerView(ctx, c.ServiceContent.RootFolder, []string{kind}, true)
	if err != nil {
		return err
	}
	err = v.Retrieve(ctx, []string{kind}, properties, out)
	if ctx.Err() == nil {
		// A view that cannot be destroyed ends with its session.
		_ = v.Destroy(ctx)
	}
	return err
}
