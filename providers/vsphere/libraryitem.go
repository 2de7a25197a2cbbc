package vsphere

import (
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"

	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/vapi/library"
	"github.com/vmware/govmomi/vim25"
	"github.com/vmware/govmomi/vim25/mo"
	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// origin is what a VM is made from: one of the three.
type origin struct {
	vm     *mo.VirtualMachine // a template, or a VM
	medium string             // a file "[datastore] path.iso"
	item   *libraryItem       // an OVF item of a library
}

// origin finds what an image names.
func (p *Provider) origin(ctx context.Context, op, ref string) (origin, *providers.Error) {
	if !isLibrary(ref) {
		vm, err := p.template(ctx, op, ref)
		return origin{vm: vm}, err
	}
	item, err := p.itemOf(ctx, op, ref)
	if err != nil {
		return origin{}, err
	}
	switch item.Type {
	case itemOVF:
		return origin{item: &item}, nil
	case itemISO:
		medium, err := p.mediumOf(ctx, op, item)
		return origin{medium: medium}, err
	case itemTemplate:
		info, err := p.templateItem(ctx, op, item.ID)
		if err != nil {
			return origin{}, absent(op, err)
		}
		vm, err := p.template(ctx, op, info.VmTemplate)
		return origin{vm: vm}, err
	}
	return origin{}, fail(op, providers.InvalidArgument, nil, "the library's item is nothing that a VM is made from")
}

// absent tells of an item that is not there as of an image that is not.
func absent(op string, err *providers.Error) *providers.Error {
	if hasCode(err, providers.NotFound) {
		return fail(op, providers.NotFound, err.Err, noSuchImage)
	}
	return err
}

// itemOf finds the item that a ref names, by a few calls however many there are.
// NotFound where there is none, InvalidArgument for names that several have.
func (p *Provider) itemOf(ctx context.Context, op, ref string) (libraryItem, *providers.Error) {
	alone, err := p.alone(ctx, op)
	libraryName, itemName, id, ok := parseLibraryRef(ref)
	switch {
	case err != nil:
		return libraryItem{}, err
	case alone || !ok:
		return libraryItem{}, fail(op, providers.NotFound, nil, noSuchImage)
	case id != "":
		item, err := p.itemByID(ctx, op, id)
		return item, absent(op, err)
	}
	libraries, err := p.librariesNamed(ctx, op, libraryName)
	if err != nil {
		return libraryItem{}, err
	}
	var found []libraryItem
	for _, in := range libraries {
		ids, err := p.findItems(ctx, op, map[string]string{"library_id": in, "name": itemName})
		if err != nil {
			return libraryItem{}, err
		}
		for _, id := range ids {
			item, err := p.itemByID(ctx, op, id)
			if err = except(err, providers.NotFound); err != nil {
				return libraryItem{}, err
			}
			if item.Name == itemName { // they are found whatever the case of their letters
				found = append(found, item)
			}
		}
	}
	switch len(found) {
	case 0:
		return libraryItem{}, fail(op, providers.NotFound, nil, noSuchImage)
	case 1:
		return found[0], nil
	}
	return libraryItem{}, fail(op, providers.InvalidArgument, nil, "several images have this name: it needs its ID")
}

// librariesNamed are the IDs of the libraries with a name.
func (p *Provider) librariesNamed(ctx context.Context, op, name string) ([]string, *providers.Error) {
	var ids, out []string
	err := p.ask(ctx, op, apiCall{
		method: http.MethodPost, path: libraryPath, query: url.Values{"~action": {"find"}},
		body: map[string]any{"spec": map[string]string{"name": name}}, out: &ids,
	})
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		is, err := p.libraryName(ctx, op, id)
		if err = except(err, providers.NotFound); err != nil {
			return nil, err
		}
		if is == name {
			out = append(out, id)
		}
	}
	return out, nil
}

// mediumOf is the file of an item that is a medium.
func (p *Provider) mediumOf(ctx context.Context, op string, item libraryItem) (string, *providers.Error) {
	var files []library.Storage
	err := p.ask(ctx, op, apiCall{
		method: http.MethodGet, path: itemStoragePath, query: url.Values{"library_item_id": {item.ID}}, out: &files,
	})
	if err != nil {
		return "", absent(op, err)
	}
	for _, file := range files {
		if !strings.EqualFold(path.Ext(file.Name), ".iso") || len(file.StorageURIs) == 0 {
			continue
		}
		switch {
		case !file.Cached:
			return "", fail(op, providers.FailedPrecondition, nil, "the library has not fetched the image yet: its operator has to synchronize the item")
		case file.StorageBacking.DatastoreID == "":
			return "", fail(op, providers.FailedPrecondition, nil, "the library is on no datastore")
		}
		return p.fileAt(ctx, op, file.StorageBacking.DatastoreID, file.StorageURIs[0])
	}
	return "", fail(op, providers.NotFound, nil, noSuchImage)
}

// fileAt is the path "[datastore] path" of a file that is told by its URI.
func (p *Provider) fileAt(ctx context.Context, op, datastore, uri string) (string, *providers.Error) {
	var ds mo.Datastore
	err := p.call(ctx, op, func(ctx context.Context, c *vim25.Client) error {
		return retrieveOne(ctx, c, types.ManagedObjectReference{Type: "Datastore", Value: datastore}, []string{"name", "summary.url"}, &ds)
	})
	if err != nil {
		return "", err
	}
	place, err := localPath(op, uri)
	if err != nil {
		return "", err
	}
	root, err := localPath(op, ds.Summary.Url)
	if err != nil {
		return "", err
	}
	inside, ok := strings.CutPrefix(place, strings.TrimSuffix(root, "/")+"/")
	if !ok {
		return "", fail(op, providers.FailedPrecondition, nil, "the image is not on the library's datastore")
	}
	return (&object.DatastorePath{Datastore: ds.Name, Path: inside}).String(), nil
}

// localPath is the path in a URI such as "ds:///vmfs/volumes/1234/".
func localPath(op, uri string) (string, *providers.Error) {
	u, err := url.Parse(uri)
	if err != nil {
		return "", fail(op, providers.Unknown, err, "the hypervisor's answer is not understood")
	}
	return u.Path, nil
}
