package vsphere

import (
	"context"
	"path"
	"regexp"
	"slices"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// An image may be a file "[datastore] path.iso" too: then the VM has an empty disk and
// the file as its medium, from which its guest is installed.

// isISO reports whether an image names a medium.
func isISO(ref string) bool { return regexp.MustCompile(`^\[[^\]]+\] [^\[\]]+\.iso$`).MatchString(ref) }

// The keys of the devices that an empty VM is made with. The first IDE controller is
// one that every VM has.
const (
	newController int32 = -1
	newDisk       int32 = -2
	newMedium     int32 = -3
	ideController int32 = 200
)

// empty makes a VM with an empty disk and a medium, or goes on with it. making is the
// task of another process that may do so.
func (p *Provider) empty(ctx context.Context, op string, o order, making string) (providers.TaskRef, *providers.Error) {
	at, err := p.place(ctx, op, o, &mo.VirtualMachine{})
	if err != nil {
		return "", err
	}
	if err := p.mediumThere(ctx, op, o.req.Image.Ref, at); err != nil {
		return "", err
	}
	return p.carry(ctx, op, workTask(o.req.VMID, workCreate, ""), func(ctx context.Context) *providers.Error {
		return p.persist(ctx, op, func() *providers.Error {
			m, err := p.made(ctx, op, o.req.VMID, making)
			if err == nil && m == nil {
				_, err = p.install(ctx, op, o, at)
			}
			if err != nil {
				return err
			}
			return p.finish(ctx, op, o)
		})
	})
}

func (p *Provider) install(ctx context.Context, op string, o order, at place) (*machine, *providers.Error) {
	spec, err := p.bornAs(op, o, &mo.VirtualMachine{}, at)
	if err != nil {
		return nil, err
	}
	spec.GuestId = string(types.VirtualMachineGuestOsIdentifierOtherLinux64Guest)
	unit, thin := int32(0), true
	disk := &types.VirtualDisk{
		VirtualDevice: types.VirtualDevice{
			Key: newDisk, ControllerKey: newController, UnitNumber: &unit,
			Backing: &types.VirtualDiskFlatVer2BackingInfo{
				DiskMode: string(types.VirtualDiskModePersistent), ThinProvisioned: &thin,
			},
		},
		CapacityInKB: int64(o.req.DiskGiB) * mib, CapacityInBytes: int64(o.req.DiskGiB) * gib,
	}
	medium := &types.VirtualCdrom{VirtualDevice: types.VirtualDevice{
		Key: newMedium, ControllerKey: ideController, UnitNumber: &unit,
		Backing: &types.VirtualCdromIsoBackingInfo{
			VirtualDeviceFileBackingInfo: types.VirtualDeviceFileBackingInfo{FileName: o.req.Image.Ref},
		},
		Connectable: &types.VirtualDeviceConnectInfo{StartConnected: true, AllowGuestControl: true, Connected: true},
	}}
	controller := &types.ParaVirtualSCSIController{}
	controller.Key, controller.SharedBus = newController, types.VirtualSCSISharingNoSharing
	const add = types.VirtualDeviceConfigSpecOperationAdd
	spec.DeviceChange = append([]types.BaseVirtualDeviceConfigSpec{
		&types.VirtualDeviceConfigSpec{Operation: add, Device: controller},
		&types.VirtualDeviceConfigSpec{Operation: add, Device: disk, FileOperation: types.VirtualDeviceConfigSpecFileOperationCreate},
		&types.VirtualDeviceConfigSpec{Operation: add, Device: medium},
	}, spec.DeviceChange...)
	return p.createVM(ctx, op, o, &mo.VirtualMachine{}, at, spec)
}

// mediumThere is NotFound where the host's datastores do not have the file.
func (p *Provider) mediumThere(ctx context.Context, op, ref string, at place) *providers.Error {
	var file object.DatastorePath
	if !file.FromString(ref) || at.host == nil {
		return fail(op, providers.NotFound, nil, noSuchImage)
	}
	var browser *types.ManagedObjectReference
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		var host mo.HostSystem
		if err := retrieveOne(ctx, c, *at.host, []string{"datastore"}, &host); err != nil || len(host.Datastore) == 0 {
			return err
		}
		var all []mo.Datastore
		err := property.DefaultCollector(c).Retrieve(ctx, host.Datastore, []string{"name", "browser"}, &all)
		if i := slices.IndexFunc(all, func(ds mo.Datastore) bool { return ds.Name == file.Datastore }); i >= 0 {
			browser = &all[i].Browser
		}
		return err
	})
	if err == nil && browser == nil {
		err = fail(op, providers.NotFound, nil, noSuchImage)
	}
	if err != nil {
		return err
	}
	folder := object.DatastorePath{Datastore: file.Datastore, Path: path.Dir(file.Path)}
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.SearchDatastore_Task(ctx, c, &types.SearchDatastore_Task{
			This: *browser, DatastorePath: folder.String(),
			SearchSpec: &types.HostDatastoreBrowserSearchSpec{MatchPattern: []string{path.Base(file.Path)}},
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err == nil {
		err = p.await(ctx, op, string(task))
	}
	if err != nil {
		return err
	}
	info, err := p.taskInfo(ctx, op, string(task))
	if err != nil {
		return err
	}
	if found, ok := info.Result.(types.HostDatastoreBrowserSearchResults); !ok || len(found.File) == 0 {
		return fail(op, providers.NotFound, nil, noSuchImage)
	}
	return nil
}
