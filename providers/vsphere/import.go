package vsphere

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vapi/vcenter"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// A deployment of an OVF item cannot give its VM an instance UUID, so it makes no VM of
// ours: it makes a template, once for each version of the item and folder, and VMs are
// cloned from that. The template's name follows from the item, so that of several
// deployments one gets it, and its note proves whose it is. A VM with both that is no
// template yet is a deployment at work, or what one left behind. The template holds
// nothing that could not be made anew: whoever takes it away costs time alone.

const importPrefix = "hcp-image-"

// importName is the name of the template of an item.
func (p *Provider) importName(item libraryItem) string {
	sum := sha256.Sum256([]byte(p.cfg.installation + "\x00" + item.ContentVersion))
	return importPrefix + item.ID + "-" + hex.EncodeToString(sum[:6])
}

// importNote is the note of the template of an item, which is its proof.
func (p *Provider) importNote(item libraryItem) string {
	return annotation + " Content version " + item.ContentVersion + " of the library item " + item.ID +
		", for the installation " + p.cfg.installation + "."
}

// The bounds of an import: how often a deployment is begun, and how often it is looked
// at what has become of them.
const (
	importTries = 3
	importLooks = 100
)

// imported is the template of an OVF item, which it makes where there is none. It takes
// as long as the item is large: ctx bounds it.
func (p *Provider) imported(ctx context.Context, op string, item libraryItem, at place) (*mo.VirtualMachine, *providers.Error) {
	var last *providers.Error
	seen := false // without a deployment at work
	tries, wait := 0, background.FirstPause
	for range importLooks {
		vm, err := p.importThere(ctx, op, item, at.folder)
		switch {
		case err != nil || vm != nil && vm.Config.Template:
			return vm, err
		case vm == nil && last != nil && (tries == importTries || !last.Code.Retryable() && last.Code != providers.AlreadyExists):
			return nil, last
		case vm == nil:
			tries++
			if last = p.deploy(ctx, op, item, at); last == nil {
				p.sweepImports(ctx, op, at.folder)
			}
		default:
			again, err := p.settleImport(ctx, op, vm, seen)
			if err != nil {
				return nil, err
			}
			seen = again
		}
		if last == nil {
			continue
		}
		if err := pause(ctx, op, wait); err != nil {
			return nil, err
		}
		wait = background.Longer(wait)
	}
	return nil, fail(op, providers.Aborted, last, "the image is being imported by another process")
}

// importFirst is the template of an OVF item. Where it has to be imported first that is
// all that the work does which begins with this call: nobody would see what is to be
// done at its end, and take it back. The task ends as Aborted then, and whoever asks
// again finds the template.
func (p *Provider) importFirst(
	ctx context.Context, op string, o order, item libraryItem, work providers.TaskRef,
) (*mo.VirtualMachine, providers.TaskRef, *providers.Error) {
	at, err := p.place(ctx, op, o, &mo.VirtualMachine{})
	if err != nil {
		return nil, "", err
	}
	src, err := p.importThere(ctx, op, item, at.folder)
	if err != nil || src != nil && src.Config.Template {
		return src, "", err
	}
	ready := fail(op, providers.Aborted, nil, "the image is imported now, and is to be asked for again")
	task, err := p.carry(ctx, op, work, func(ctx context.Context) *providers.Error {
		if _, err := p.imported(ctx, op, item, at); err != nil {
			return err
		}
		return ready
	})
	if err != ready {
		return nil, task, err
	}
	src, err = p.importThere(ctx, op, item, at.folder)
	if err == nil && (src == nil || !src.Config.Template) {
		err = fail(op, providers.Aborted, nil, "the image was removed while it was imported")
	}
	return src, "", err
}

// importThere reads the template of an item, or the VM that is to become it; nil where
// there is none. AlreadyExists where something else bears its name.
func (p *Provider) importThere(ctx context.Context, op string, item libraryItem, folder types.ManagedObjectReference) (*mo.VirtualMachine, *providers.Error) {
	var out *mo.VirtualMachine
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		res, err := methods.FindChild(ctx, c, &types.FindChild{
			This: *c.ServiceContent.SearchIndex, Entity: folder, Name: p.importName(item),
		})
		if err != nil || res.Returnval == nil {
			return err
		}
		taken := fail(op, providers.AlreadyExists, nil, "the place of the image belongs to something else")
		if res.Returnval.Type != typeVM {
			return taken
		}
		var vm mo.VirtualMachine
		if err := property.DefaultCollector(c).RetrieveOne(ctx, *res.Returnval, sourceProperties(), &vm); err != nil {
			return err
		}
		if vm.Config == nil {
			return fail(op, providers.Aborted, nil, "the image is being imported by another process")
		}
		if vm.Config.Annotation != p.importNote(item) {
			return taken
		}
		out = &vm
		return nil
	})
	if isGone(err) {
		err = nil // it went between the two
	}
	return out, err
}

// deploy has the hypervisor make a VM from an item, and makes it a template.
func (p *Provider) deploy(ctx context.Context, op string, item libraryItem, at place) *providers.Error {
	spec := vcenter.Deploy{
		DeploymentSpec: vcenter.DeploymentSpec{Name: p.importName(item), Annotation: p.importNote(item), AcceptAllEULA: true},
		Target:         vcenter.Target{ResourcePoolID: at.pool.Value, FolderID: at.folder.Value},
	}
	if at.host != nil {
		spec.HostID = at.host.Value
	}
	if at.datastore != nil {
		spec.DefaultDatastoreID = at.datastore.Value
	}
	var done vcenter.Deployment
	err := p.ask(ctx, op, apiCall{
		method: http.MethodPost, path: itemOVFPath + "/id:" + url.PathEscape(item.ID), query: url.Values{"~action": {"deploy"}},
		body: spec, out: &done,
	})
	if err != nil {
		return absent(op, err)
	}
	if !done.Succeeded || done.ResourceID == nil {
		return classify(op, deploymentError(done.Error))
	}
	made := types.ManagedObjectReference{Type: done.ResourceID.Type, Value: done.ResourceID.Value}
	if made.Type != typeVM {
		if err := p.destroyed(ctx, op, made); err != nil {
			return err
		}
		return fail(op, providers.InvalidArgument, nil, "the image is several VMs")
	}
	return p.makeTemplate(ctx, op, made)
}

// deploymentError is why a deployment failed, by the type of its first error.
func deploymentError(failed *vcenter.DeploymentError) error {
	out := &apiError{Status: http.StatusOK}
	if failed == nil {
		return out
	}
	out.Message = failed.Error()
	for _, e := range failed.Errors {
		if e.Error != nil && out.Kind == "" {
			out.Kind = kindOf(e.Error.Class)
		}
	}
	return out
}

// makeTemplate makes a VM a template. It is one already where another process did so.
func (p *Provider) makeTemplate(ctx context.Context, op string, ref types.ManagedObjectReference) *providers.Error {
	var last *providers.Error
	for range importTries {
		last = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
			_, err := methods.MarkAsTemplate(ctx, c, &types.MarkAsTemplate{This: ref})
			return err
		})
		if last == nil {
			return nil
		}
		vm, err := p.readVM(ctx, op, ref)
		switch {
		case isGone(err):
			return fail(op, providers.Aborted, err.Err, "the image was removed while it was imported")
		case err == nil && vm.Config != nil && vm.Config.Template:
			return nil
		case !last.Code.Retryable():
			return last
		}
	}
	return last
}

// destroyed destroys an object of ours, and waits for it. It may be gone already.
func (p *Provider) destroyed(ctx context.Context, op string, ref types.ManagedObjectReference) *providers.Error {
	task, err := p.startTask(ctx, op, func(ctx context.Context, c *vim25.Client) (types.ManagedObjectReference, error) {
		res, err := methods.Destroy_Task(ctx, c, &types.Destroy_Task{This: ref})
		if err != nil {
			return types.ManagedObjectReference{}, err
		}
		return res.Returnval, nil
	})
	if err == nil {
		err = p.await(ctx, op, string(task))
	}
	if isGone(err) {
		return nil
	}
	return err
}
