package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// On a host that stands alone a VM's directory is made before the VM. A process that
// dies between the two leaves it behind, empty. It bears the VM's ID in its name, so
// that it is found again.

// homeName is what the directory of a VM's files is called.
func homeName(vmID string) string { return "hcp-" + vmID }

// strayHomes are the empty directories, as "[datastore] path", that were made for a VM
// which is not there.
func (p *Provider) strayHomes(ctx context.Context, op, vmID string) ([]string, *providers.Error) {
	alone, err := p.alone(ctx, op)
	if err != nil || !alone || !vmid.Valid(vmID) {
		return nil, err
	}
	var stores []mo.Datastore
	err = p.collect(ctx, op, wanted{"Datastore": {"name", "browser", "summary.accessible"}}, func() { stores = nil }, func(object any) {
		if ds, ok := object.(mo.Datastore); ok {
			stores = append(stores, ds)
		}
	})
	if err != nil {
		return nil, err
	}
	var out []string
	for _, ds := range stores {
		if !ds.Summary.Accessible {
			continue // what is on it is not known to be gone, and cannot be reached
		}
		home := "[" + ds.Name + "] " + homeName(vmID)
		there, err := p.list(ctx, op, ds.Browser, "["+ds.Name+"]", homeName(vmID))
		if err != nil {
			return nil, err
		}
		if len(there) == 0 {
			continue
		}
		inside, err := p.list(ctx, op, ds.Browser, home, "*")
		if err != nil {
			return nil, err
		}
		if len(inside) == 0 {
			out = append(out, home)
		}
	}
	return out, nil
}

// removeHomes removes the empty directories of a VM that is not there.
func (p *Provider) removeHomes(ctx context.Context, op, vmID string) *providers.Error {
	homes, err := p.strayHomes(ctx, op, vmID)
	for _, home := range homes {
		if err := p.removeHome(ctx, op, home); err != nil {
			return err
		}
	}
	return err
}

func (p *Provider) removeHome(ctx context.Context, op, home string) *providers.Error {
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		// A host that stands alone has one datacenter, which goes without saying.
		res, err := methods.DeleteDatastoreFile_Task(ctx, c, &types.DeleteDatastoreFile_Task{This: *c.ServiceContent.FileManager, Name: home})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err == nil {
		err = p.await(ctx, op, string(task))
	}
	if isFaultOf(err, &types.FileNotFound{}) {
		return nil
	}
	return err
}

// list returns what of a directory of a datastore a pattern matches; nothing where
// there is no such directory.
func (p *Provider) list(
	ctx context.Context, op string, browser types.ManagedObjectReference, directory, pattern string,
) ([]types.BaseFileInfo, *providers.Error) {
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.SearchDatastore_Task(ctx, c, &types.SearchDatastore_Task{
			This: browser, DatastorePath: directory,
			SearchSpec: &types.HostDatastoreBrowserSearchSpec{MatchPattern: []string{pattern}},
		})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err == nil {
		err = p.await(ctx, op, string(task))
	}
	if isFaultOf(err, &types.FileNotFound{}) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	info, err := p.taskInfo(ctx, op, string(task))
	found, ok := info.Result.(types.HostDatastoreBrowserSearchResults)
	if err == nil && !ok {
		err = fail(op, providers.Unknown, nil, "the hypervisor does not tell what is in a directory")
	}
	return found.File, err
}
