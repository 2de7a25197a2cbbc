package libvirt

import (
	"cmp"
	"context"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

const gib = 1 << 30

// clusterName is the one cluster that a lone host is.
const clusterName = "default"

// ListNodes returns the host that the daemon runs on.
func (p *Provider) ListNodes(ctx context.Context) ([]providers.Node, error) {
	r := p.rpc("ListNodes")
	name, err := do(ctx, r, (*lv.Libvirt).ConnectGetHostname)
	if err != nil {
		return nil, err
	}
	node, err := do(ctx, r, func(c *lv.Libvirt) (providers.Node, error) {
		_, kib, cpus, _, _, _, _, _, err := c.NodeGetInfo()
		return providers.Node{
			Name: name, Cluster: clusterName, State: models.NodeUp, VCPUs: int(cpus), MemoryMiB: int(kib / 1024), //nolint:gosec // a host has less memory than that
		}, err
	})
	if err != nil {
		return nil, err
	}
	return []providers.Node{node}, nil
}

// ListImages returns the volumes of all active pools, less those of VMs.
func (p *Provider) ListImages(ctx context.Context) ([]providers.Image, error) {
	r := p.rpc("ListImages")
	pools, err := activePools(ctx, r)
	if err != nil {
		return nil, err
	}
	var out []providers.Image
	for _, pool := range pools {
		volumes, err := listVolumes(ctx, r, pool)
		if err != nil {
			return nil, err
		}
		for _, v := range volumes {
			if isVolumeOfSomeVM(v.Name) {
				continue
			}
			d, err := describeVolume(ctx, r, v)
			if isNotFound(err) {
				continue // deleted since it was listed
			}
			if err != nil {
				return nil, err
			}
			out = append(out, providers.Image{
				Ref: pool.Name + "/" + v.Name, Format: d.format, SizeGiB: int((d.capacity + gib - 1) / gib), //nolint:gosec // a disk's size in GiB
			})
		}
	}
	slices.SortFunc(out, func(a, b providers.Image) int { return cmp.Compare(a.Ref, b.Ref) })
	return out, nil
}

// ListNetworks returns libvirt's networks. Host bridges are bound by name
// without being listed: libvirt can list them only where netcf is built in.
func (p *Provider) ListNetworks(ctx context.Context) ([]providers.Network, error) {
	nets, err := do(ctx, p.rpc("ListNetworks"), func(c *lv.Libvirt) ([]lv.Network, error) {
		nets, _, err := c.ConnectListAllNetworks(1, 0)
		return nets, err
	})
	if err != nil {
		return nil, err
	}
	out := make([]providers.Network, 0, len(nets))
	for _, n := range nets {
		out = append(out, providers.Network{Ref: n.Name, Type: models.NetworkNetwork})
	}
	slices.SortFunc(out, func(a, b providers.Network) int { return cmp.Compare(a.Ref, b.Ref) })
	return out, nil
}

func activePools(ctx context.Context, r rpc) ([]lv.StoragePool, error) {
	return do(ctx, r, func(c *lv.Libvirt) ([]lv.StoragePool, error) {
		pools, _, err := c.ConnectListAllStoragePools(1, lv.ConnectListStoragePoolsActive)
		return pools, err
	})
}

func listVolumes(ctx context.Context, r rpc, pool lv.StoragePool) ([]lv.StorageVol, error) {
	return do(ctx, r, func(c *lv.Libvirt) ([]lv.StorageVol, error) {
		volumes, _, err := c.StoragePoolListAllVolumes(pool, 1, 0)
		return volumes, err
	})
}

// volumeFacts is what libvirt declares of a volume. Sizes are in bytes.
type volumeFacts struct {
	path     string
	format   string
	capacity uint64
	backing  string // path of the backing file, empty without one
}

func describeVolume(ctx context.Context, r rpc, v lv.StorageVol) (volumeFacts, error) {
	doc, err := do(ctx, r, func(c *lv.Libvirt) (string, error) { return c.StorageVolGetXMLDesc(v, 0) })
	if err != nil {
		return volumeFacts{}, err
	}
	var x libvirtxml.StorageVolume
	if err := x.Unmarshal(doc); err != nil {
		return volumeFacts{}, r.fail(err)
	}
	var f volumeFacts
	if x.Capacity != nil {
		f.capacity = x.Capacity.Value // libvirt always answers in bytes
	}
	if t := x.Target; t != nil {
		f.path = t.Path
		if t.Format != nil {
			f.format = t.Format.Type
		}
	}
	if x.BackingStore != nil {
		f.backing = x.BackingStore.Path
	}
	return f, nil
}

// findImage reads the volume that a binding names: "<pool>/<volume>".
func findImage(ctx context.Context, r rpc, ref string) (lv.StorageVol, volumeFacts, error) {
	poolName, name, ok := strings.Cut(ref, "/")
	if !ok || poolName == "" || name == "" || strings.Contains(name, "/") || isVolumeOfSomeVM(name) {
		return lv.StorageVol{}, volumeFacts{}, r.errorf(providers.InvalidArgument, "the image's reference is not <pool>/<volume>")
	}
	v, err := do(ctx, r, func(c *lv.Libvirt) (lv.StorageVol, error) {
		pool, err := c.StoragePoolLookupByName(poolName)
		if err != nil {
			return lv.StorageVol{}, err
		}
		return c.StorageVolLookupByName(pool, name)
	})
	if err != nil {
		return lv.StorageVol{}, volumeFacts{}, err
	}
	f, err := describeVolume(ctx, r, v)
	return v, f, err
}
