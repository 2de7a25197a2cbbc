package vsphere

import (
	"context"

	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/methods"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// collectPage is how many objects the property collector is asked for at a time: the
// answers are decoded page by page, so that memory does not grow with the inventory.
const collectPage = 1000

// wanted are the properties to read, by the type of the objects.
type wanted map[string][]string

// collect reads properties of all objects of the types, in pages, and hands over each
// object as it has been read: what an account may not read of it is missing. begin is
// called before the first one, and again where reading has to begin anew: a view
// ends with the session.
func (p *Provider) collect(ctx context.Context, op string, want wanted, begin func(), each func(object any)) *providers.Error {
	var err *providers.Error
	for range 2 {
		begin()
		before, failure := p.client(ctx, op)
		if failure != nil {
			return failure
		}
		err = p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error { return sweep(ctx, c, want, each) })
		if err == nil {
			return nil
		}
		if after, failure := p.client(ctx, op); failure != nil || after == before && !isGone(err) {
			return err
		}
	}
	return elsewhere(err)
}

// sweep reads one view of the whole inventory.
func sweep(ctx context.Context, c *vim25.Client, want wanted, each func(object any)) error {
	kinds := make([]string, 0, len(want))
	for kind := range want {
		kinds = append(kinds, kind)
	}
	view, err := methods.CreateContainerView(ctx, c, &types.CreateContainerView{
		This: *c.ServiceContent.ViewManager, Container: c.ServiceContent.RootFolder, Type: kinds, Recursive: true,
	})
	if err != nil {
		return err
	}
	skip := true
	// A view that ended with its session is an error: without it there would be nothing.
	err = retrieve(ctx, c, want, types.PropertyFilterSpec{ObjectSet: []types.ObjectSpec{{
		Obj: view.Returnval, Skip: &skip,
		SelectSet: []types.BaseSelectionSpec{&types.TraversalSpec{Type: "ContainerView", Path: "view"}},
	}}}, each)
	if ctx.Err() == nil {
		// A view that cannot be destroyed ends with its session.
		_, _ = methods.DestroyView(ctx, c, &types.DestroyView{This: view.Returnval})
	}
	return err
}

// retrieve reads properties of the objects that a filter names, page by page.
func retrieve(ctx context.Context, c *vim25.Client, want wanted, spec types.PropertyFilterSpec, each func(object any)) error {
	for kind, paths := range want {
		spec.PropSet = append(spec.PropSet, types.PropertySpec{Type: kind, PathSet: paths})
	}
	pc := c.ServiceContent.PropertyCollector
	res, err := methods.RetrievePropertiesEx(ctx, c, &types.RetrievePropertiesEx{
		This: pc, SpecSet: []types.PropertyFilterSpec{spec}, Options: types.RetrieveOptions{MaxObjects: collectPage},
	})
	if err != nil || res.Returnval == nil {
		return err
	}
	page := *res.Returnval
	for {
		if err := handOver(page.Objects, each); err != nil {
			return err
		}
		if page.Token == "" {
			return nil
		}
		next, err := methods.ContinueRetrievePropertiesEx(ctx, c, &types.ContinueRetrievePropertiesEx{This: pc, Token: page.Token})
		if err != nil {
			return err
		}
		page = next.Returnval
	}
}

// handOver decodes the objects of a page. What of them is missing is left out.
func handOver(objects []types.ObjectContent, each func(object any)) error {
	for _, o := range objects {
		o.MissingSet = nil
		have := o.PropSet[:0]
		for _, property := range o.PropSet {
			if property.Val != nil {
				have = append(have, property)
			}
		}
		if o.PropSet = have; len(have) == 0 {
			continue
		}
		object, err := mo.ObjectContentToType(o)
		if err != nil {
			return err
		}
		each(object)
	}
	return nil
}

// these is a filter for objects. Those that are gone are left out.
func these(refs []types.ManagedObjectReference) types.PropertyFilterSpec {
	leaveOut := true
	out := types.PropertyFilterSpec{ReportMissingObjectsInResults: &leaveOut}
	for _, ref := range refs {
		out.ObjectSet = append(out.ObjectSet, types.ObjectSpec{Obj: ref})
	}
	return out
}
