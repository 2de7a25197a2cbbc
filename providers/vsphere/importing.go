package vsphere

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/vmware/govmomi/property"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
)

// The types of the tasks of a deployment (TaskInfo.descriptionId).
const (
	typeImport    = "ResourcePool.ImportVAppLRO"
	typeDeploying = "com.vmware.ovfs." // begins those of vCenter's OVF service
)

// settleImport brings on a VM that is to become a template, and that this process did
// not get an answer for. A deployment at work is waited for. One that is known to have
// made the VM, and succeeded, has made the template. What is left of others is removed:
// nothing proves that its disk is whole. again is true where no deployment is at work:
// it is removed once it is seen so twice, as another process may have just its answer.
func (p *Provider) settleImport(ctx context.Context, op string, vm *mo.VirtualMachine, seen bool) (again bool, err *providers.Error) {
	task, sure, err := p.importing(ctx, op, vm)
	switch {
	case err != nil:
		return false, err
	case task != "":
		if end := p.await(ctx, op, task); end == nil && sure {
			return false, except(p.makeTemplate(ctx, op, vm.Self), providers.Aborted)
		}
		return false, classify(op, ctx.Err())
	case !seen:
		return true, pause(ctx, op, background.LastPause)
	}
	return false, p.destroyed(ctx, op, vm.Self)
}

// importing is the task of a deployment at work that makes a VM, or may make it for all
// that is told of it; "" where there is none. sure says that it makes this one.
func (p *Provider) importing(ctx context.Context, op string, vm *mo.VirtualMachine) (task string, sure bool, failure *providers.Error) {
	failure = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		task, sure = "", false
		all, err := recentTasks(ctx, c, *c.ServiceContent.TaskManager)
		if err != nil {
			return err
		}
		for _, t := range all {
			on := t.Entity != nil && *t.Entity == vm.Self
			if !atWork(t) || !on && !deploys(t) {
				continue
			}
			names, err := namesOf(ctx, c, t)
			if err != nil {
				return err
			}
			if slices.Contains(names, vm.Name) {
				task, sure = t.Task.Value, true
				return nil
			}
			if on || len(names) == 0 {
				task = t.Task.Value
			}
		}
		return nil
	})
	return task, sure, failure
}

// deploys reports whether a task may be one of a deployment.
func deploys(t types.TaskInfo) bool {
	return t.DescriptionId == typeImport || strings.HasPrefix(t.DescriptionId, typeDeploying)
}

// importOf is the item whose import a VM is, or is to become, by its name and note.
func (p *Provider) importOf(name, note string) (libraryItem, bool) {
	if !strings.HasPrefix(name, importPrefix) {
		return libraryItem{}, false
	}
	parts := regexp.MustCompile(`Content version (\S+) of the library item (\S+), for`).FindStringSubmatch(note)
	if parts == nil {
		return libraryItem{}, false
	}
	item := libraryItem{ID: parts[2], ContentVersion: parts[1]}
	return item, name == p.importName(item) && note == p.importNote(item)
}

// sweepImports removes the templates of items that are not in the library any more, or
// have another content now. A template that is in use stays until the next import: what
// goes wrong here costs room alone, so it fails nothing.
func (p *Provider) sweepImports(ctx context.Context, op string, folder types.ManagedObjectReference) {
	var all []mo.VirtualMachine
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		skip := true
		res, err := property.DefaultCollector(c).RetrieveProperties(ctx, types.RetrieveProperties{
			SpecSet: []types.PropertyFilterSpec{{
				ObjectSet: []types.ObjectSpec{{
					Obj: folder, Skip: &skip,
					SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "Folder", Path: "childEntity"}},
				}},
				PropSet: []types.PropertySpec{{Type: typeVM, PathSet: []string{"name", "config.annotation", "config.template"}}},
			}},
		})
		if err != nil {
			return err
		}
		return mo.LoadObjectContent(res.Returnval, &all)
	})
	if err != nil {
		return
	}
	for _, vm := range all {
		if vm.Config == nil || !vm.Config.Template {
			continue
		}
		was, ours := p.importOf(vm.Name, vm.Config.Annotation)
		if !ours {
			continue
		}
		is, err := p.itemByID(ctx, op, was.ID)
		if hasCode(err, providers.NotFound) || err == nil && is.ContentVersion != was.ContentVersion {
			_ = p.destroyed(ctx, op, vm.Self)
		}
	}
}
