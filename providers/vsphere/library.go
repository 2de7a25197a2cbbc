package vsphere

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/vmware/govmomi/vapi/vcenter"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// The paths of the content library, and of VM templates in it, below apiPath.
const (
	libraryPath      = "/com/vmware/content/library"
	itemPath         = libraryPath + "/item"
	itemStoragePath  = itemPath + "/storage"
	itemTemplatePath = "/vcenter/vm-template/library-items"
	itemOVFPath      = "/com/vmware/vcenter/ovf/library-item"
)

// The types of items that VMs are made from.
const (
	itemOVF      = "ovf"
	itemTemplate = "vm-template"
	itemISO      = "iso"
)

// libraryItem is an item of a content library.
type libraryItem struct {
	ID             string `json:"id"`
	LibraryID      string `json:"library_id"`
	Name           string `json:"name"`
	Type           string `json:"type"`
	ContentVersion string `json:"content_version"`
}

// catalogue remembers the items that were listed: the API lists their IDs alone, and
// tells of what they are one by one. What a VM is made from is read anew.
type catalogue struct {
	mu    sync.Mutex
	items map[string]knownItem
}

// get returns what is not changed any more.
func (c *catalogue) get() map[string]knownItem {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.items
}

func (c *catalogue) put(items map[string]knownItem) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.items = items
}

type knownItem struct {
	item libraryItem
	gib  int // 0: not known
	read time.Time
}

// How many calls a list makes for single items: for those that it does not know yet,
// so many at a time, and for the oldest of those that it knows.
const (
	itemReaders   = 8
	itemRefreshes = 50
)

// libraryImages lists the items that VMs can be made from. imports are the sizes of
// OVF items that were imported, by the item. An account that may not read libraries
// sees none.
func (p *Provider) libraryImages(ctx context.Context, op string, imports map[string]int) ([]providers.Image, *providers.Error) {
	if alone, err := p.alone(ctx, op); err != nil || alone {
		return nil, err
	}
	names, err := p.libraryNames(ctx, op)
	if hasCode(err, providers.PermissionDenied) || err == nil && len(names) == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	known, err := p.items(ctx, op)
	if err != nil {
		return nil, err
	}
	count := map[string]int{}
	for _, k := range known {
		count[libraryRef(names[k.item.LibraryID], k.item.Name)]++
	}
	var out []providers.Image
	for _, k := range known {
		name, ok := names[k.item.LibraryID]
		if !ok {
			continue // the library went meanwhile
		}
		image := providers.Image{Ref: libraryRef(name, k.item.Name), Format: k.item.Type, SizeGiB: cmp.Or(k.gib, imports[k.item.ID])}
		if count[image.Ref] > 1 {
			image.Ref = libraryPrefix + k.item.ID
		}
		out = append(out, image)
	}
	return out, nil
}

// libraryNames are the names of the libraries, local and subscribed, by their ID.
func (p *Provider) libraryNames(ctx context.Context, op string) (map[string]string, *providers.Error) {
	var ids []string
	if err := p.ask(ctx, op, apiCall{method: http.MethodGet, path: libraryPath, out: &ids}); err != nil {
		return nil, err
	}
	var mu sync.Mutex
	out := map[string]string{}
	err := forEach(ids, func(id string) *providers.Error {
		name, err := p.libraryName(ctx, op, id)
		if err == nil {
			mu.Lock()
			defer mu.Unlock()
			out[id] = name
		}
		return except(err, providers.NotFound)
	})
	return out, err
}

func (p *Provider) libraryName(ctx context.Context, op, id string) (string, *providers.Error) {
	var library struct {
		Name string `json:"name"`
	}
	err := p.ask(ctx, op, apiCall{method: http.MethodGet, path: libraryPath + "/id:" + url.PathEscape(id), out: &library})
	return library.Name, err
}

// items are the items that VMs can be made from, as they were read last.
func (p *Provider) items(ctx context.Context, op string) (map[string]knownItem, *providers.Error) {
	var ids []string
	for _, kind := range []string{itemOVF, itemTemplate, itemISO} {
		found, err := p.findItems(ctx, op, map[string]string{"type": kind})
		if err != nil {
			return nil, err
		}
		ids = append(ids, found...)
	}
	before := p.library.get()
	out := map[string]knownItem{}
	var fresh, old []string
	for _, id := range ids {
		if known, ok := before[id]; ok {
			out[id] = known
			old = append(old, id)
		} else {
			fresh = append(fresh, id)
		}
	}
	slices.SortFunc(old, func(a, b string) int { return out[a].read.Compare(out[b].read) })
	var mu sync.Mutex
	err := forEach(append(fresh, old[:min(itemRefreshes, len(old))]...), func(id string) *providers.Error {
		known, err := p.readItem(ctx, op, id, before)
		mu.Lock()
		defer mu.Unlock()
		if hasCode(err, providers.NotFound) {
			delete(out, id)
			return nil
		}
		if err == nil {
			out[id] = known
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	p.library.put(out)
	return out, nil
}

// readItem reads an item; the size of a template only where its content has changed.
func (p *Provider) readItem(ctx context.Context, op, id string, have map[string]knownItem) (knownItem, *providers.Error) {
	item, err := p.itemByID(ctx, op, id)
	if err != nil {
		return knownItem{}, err
	}
	out := knownItem{item: item, read: time.Now()}
	before, known := have[id]
	switch {
	case item.Type != itemTemplate:
	case known && before.item.ContentVersion == item.ContentVersion:
		out.gib = before.gib
	default:
		info, err := p.templateItem(ctx, op, id)
		// A template that the account may not read has no size here.
		if err = except(err, providers.NotFound, providers.PermissionDenied); err != nil {
			return out, err
		}
		out.gib = sizeOf(info)
	}
	return out, nil
}

// sizeOf is the size of a template's first disk.
func sizeOf(info vcenter.TemplateInfo) int {
	if len(info.Disks) == 0 {
		return 0
	}
	first := slices.MinFunc(info.Disks, func(a, b vcenter.Disks) int { return cmp.Compare(a.Key, b.Key) })
	if first.Value == nil {
		return 0
	}
	return (first.Value.Capacity + gib - 1) / gib
}

// findItems lists the IDs of the items that a specification names.
func (p *Provider) findItems(ctx context.Context, op string, spec map[string]string) (ids []string, err *providers.Error) {
	err = p.ask(ctx, op, apiCall{
		method: http.MethodPost, path: itemPath, query: url.Values{"~action": {"find"}},
		body: map[string]any{"spec": spec}, out: &ids,
	})
	return ids, err
}

func (p *Provider) itemByID(ctx context.Context, op, id string) (item libraryItem, err *providers.Error) {
	err = p.ask(ctx, op, apiCall{method: http.MethodGet, path: itemPath + "/id:" + url.PathEscape(id), out: &item})
	return item, err
}

// templateItem is what an item that is a VM template has.
func (p *Provider) templateItem(ctx context.Context, op, id string) (info vcenter.TemplateInfo, err *providers.Error) {
	err = p.ask(ctx, op, apiCall{method: http.MethodGet, path: itemTemplatePath + "/" + url.PathEscape(id), out: &info})
	return info, err
}

// except is err, but nil for the codes.
func except(err *providers.Error, codes ...providers.Code) *providers.Error {
	if hasCode(err, codes...) {
		return nil
	}
	return err
}

// forEach does f for all, some at a time, and returns the first error.
func forEach(ids []string, f func(id string) *providers.Error) *providers.Error {
	var group sync.WaitGroup
	var once sync.Once
	var first *providers.Error
	failed := make(chan struct{})
	work := make(chan string)
	for range min(itemReaders, len(ids)) {
		group.Go(func() {
			for id := range work {
				if err := f(id); err != nil {
					once.Do(func() {
						first = err
						close(failed)
					})
				}
			}
		})
	}
	for _, id := range ids {
		select {
		case work <- id:
			continue
		case <-failed:
		}
		break
	}
	close(work)
	group.Wait()
	return first
}
