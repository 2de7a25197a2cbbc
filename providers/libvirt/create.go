package libvirt

import (
	"context"
	"errors"
	"net/netip"
	"path"
	"slices"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/cloudinit"
)

// CreateVM makes root disk, NoCloud medium and domain, in this order: a domain
// that is there has its parts, unless somebody took them away. Each step finds
// what an earlier attempt left, and uses it or makes it anew.
//
// A linked clone is made at once. A full copy goes on in the background, see
// copy.go: the domain is there meanwhile, incomplete, and does not start.
func (p *Provider) CreateVM(ctx context.Context, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	r := p.rpc("CreateVM")
	if err := p.ready(ctx, r); err != nil {
		return "", "", err
	}
	req, err := normalize(r, req)
	if err != nil {
		return "", "", err
	}
	ref := providers.VMRef(req.VMID)
	done, task, err := p.existing(ctx, r, req.VMID)
	if err != nil || done {
		return ref, task, err
	}
	if err := p.checkNode(ctx, r, req.Node); err != nil {
		return "", "", err
	}
	image, facts, err := findImage(ctx, r, req.Image.Ref)
	if err != nil {
		return "", "", err
	}
	task, err = p.build(ctx, r, req, rootSource{image, facts})
	if err != nil {
		return "", "", err
	}
	return ref, task, nil
}

// rootSource is the volume that a root disk is made from.
type rootSource struct {
	volume lv.StorageVol
	facts  volumeFacts
}

// build makes the VM of a checked request, which is not there yet or lacks parts.
func (p *Provider) build(ctx context.Context, r rpc, req providers.CreateVMRequest, from rootSource) (providers.TaskRef, error) {
	disks := bootDisks{root: p.cfg.volumeName(req.VMID, rootDisk), seed: p.cfg.volumeName(req.VMID, seedDisk)}
	b := blueprint{req: req}
	var err error
	if b.domainType, err = p.chooseDomainType(ctx, r); err != nil {
		return "", err
	}
	made, task, err := p.makeBootDisks(ctx, r, req, from, disks)
	if err != nil {
		return "", err
	}
	b.rootPath, b.seedPath = made.root, made.seed
	return task, p.define(ctx, r, b)
}

// bootDisks are the names, or the paths, of a root disk and its NoCloud medium.
type bootDisks struct{ root, seed string }

// makeBootDisks makes both under the names and returns their paths. The task is
// that of a full copy at work.
func (p *Provider) makeBootDisks(
	ctx context.Context, r rpc, req providers.CreateVMRequest, from rootSource, names bootDisks,
) (paths bootDisks, task providers.TaskRef, err error) {
	if from.facts.capacity > rootSize(req) {
		return paths, "", r.errorf(providers.InvalidArgument, "the disk is smaller than the image")
	}
	iso, err := p.seedImage(ctx, r, req)
	if err != nil {
		return paths, "", err
	}
	pool, err := do(ctx, r, func(c *lv.Libvirt) (lv.StoragePool, error) { return c.StoragePoolLookupByName(p.cfg.pool) })
	if err != nil {
		return paths, "", err
	}
	if req.Image.CloneMode == models.CloneFull {
		paths.root, task, err = p.ensureCopy(ctx, r, req, names.root, pool, from)
	} else {
		paths.root, err = p.ensureClone(ctx, r, req, names.root, pool, from.facts)
	}
	if err != nil {
		return paths, "", err
	}
	paths.seed, err = p.makeSeed(ctx, r, names.seed, pool, iso)
	return paths, task, err
}

// existing looks for the VM. done says that there is nothing left to make.
// AlreadyExists when the VM ID is the UUID of a foreign domain.
func (p *Provider) existing(ctx context.Context, r rpc, vmID string) (done bool, task providers.TaskRef, err error) {
	u, _ := parseVMID(vmID)
	dom, err := do(ctx, r, func(c *lv.Libvirt) (lv.Domain, error) { return c.DomainLookupByUUID(u) })
	if isNotFound(err) {
		return false, "", nil
	}
	if err != nil {
		return false, "", err
	}
	d, err := p.inspect(ctx, r, dom)
	if isNotFound(err) {
		return false, "", r.errorf(providers.AlreadyExists, "the VM's place is taken by something else")
	}
	if err != nil {
		return false, "", err
	}
	if d.isFull() {
		st, err := p.copyStateOf(ctx, r, d)
		if err != nil {
			return false, "", err
		}
		if st.phase == copyRunning {
			return true, copyTask(vmID, path.Base(d.rootPath)), nil
		}
	}
	_, incomplete, err := p.parts(ctx, r, d)
	return !incomplete, "", err
}

func (p *Provider) checkNode(ctx context.Context, r rpc, node string) error {
	if node == "" {
		return nil
	}
	host, err := do(ctx, r, (*lv.Libvirt).ConnectGetHostname)
	if err == nil && host != node {
		return r.errorf(providers.NotFound, "the hypervisor has no such node")
	}
	return err
}

// seedImage looks up the networks, which proves that they exist, and makes the
// NoCloud medium.
func (p *Provider) seedImage(ctx context.Context, r rpc, req providers.CreateVMRequest) ([]byte, error) {
	subnets := make([]subnet, len(req.NICs))
	for i, nic := range req.NICs {
		if nic.Network.Type != models.NetworkNetwork {
			continue
		}
		var err error
		if subnets[i], err = readSubnet(ctx, r, nic.Network.Ref); err != nil {
			return nil, err
		}
	}
	files, err := seedFiles(req, subnets)
	var bad cloudinit.InputError
	if errors.As(err, &bad) {
		return nil, r.errorf(providers.InvalidArgument, bad.Error())
	}
	var iso []byte
	if err == nil {
		iso, err = cloudinit.Medium(files)
	}
	if err != nil {
		// The cause is left out: it could quote the tenant's user data.
		return nil, r.errorf(providers.Internal, "the cloud-init medium cannot be made")
	}
	return iso, nil
}

// readSubnet reads the first address block that libvirt serves on a network.
// The zero subnet means that libvirt does not know.
func readSubnet(ctx context.Context, r rpc, name string) (subnet, error) {
	doc, err := do(ctx, r, func(c *lv.Libvirt) (string, error) {
		n, err := c.NetworkLookupByName(name)
		if err != nil {
			return "", err
		}
		return c.NetworkGetXMLDesc(n, 0)
	})
	if err != nil {
		return subnet{}, err
	}
	var x libvirtxml.Network
	if err := x.Unmarshal(doc); err != nil {
		return subnet{}, r.fail(err)
	}
	for _, ip := range x.IPs {
		gateway, err := netip.ParseAddr(ip.Address)
		if err != nil {
			continue
		}
		bits := int(ip.Prefix)
		if mask, err := netip.ParseAddr(ip.Netmask); err == nil && bits == 0 {
			for _, b := range mask.AsSlice() {
				for ; b != 0; b <<= 1 {
					bits++
				}
			}
		}
		if prefix, err := gateway.Prefix(bits); err == nil && bits > 0 {
			return subnet{prefix: prefix, gateway: gateway}, nil
		}
	}
	return subnet{}, nil
}

// define makes the domain. Defining the same domain twice is one domain.
func (p *Provider) define(ctx context.Context, r rpc, b blueprint) error {
	doc, err := p.cfg.domainXML(b)
	if err != nil {
		return r.fail(err)
	}
	return run(ctx, r, func(c *lv.Libvirt) error {
		_, err := c.DomainDefineXMLFlags(doc, 0)
		return err
	})
}

// chooseDomainType takes KVM where the host has it and it is fit for use. libvirt
// offers KVM wherever /dev/kvm opens; a KVM that withholds SSE3, which every
// x86-64 processor with virtualisation has, is an emulation that boots no guest.
func (p *Provider) chooseDomainType(ctx context.Context, r rpc) (string, error) {
	if p.cfg.endpoint.driver == domainTest {
		return domainTest, nil
	}
	if p.cfg.domainType != "" {
		return p.cfg.domainType, nil
	}
	doc, err := do(ctx, r, func(c *lv.Libvirt) (string, error) {
		return c.ConnectGetDomainCapabilities(nil, nil, nil, lv.OptString{domainKVM}, 0)
	})
	if hasCode(err, providers.InvalidArgument, providers.FailedPrecondition, providers.Unimplemented, providers.Unknown) {
		return domainQEMU, nil // libvirt knows no KVM here
	}
	if err != nil {
		return "", err
	}
	var caps libvirtxml.DomainCaps
	if err := caps.Unmarshal(doc); err != nil {
		return "", r.fail(err)
	}
	if kvmIsFit(caps) {
		return domainKVM, nil
	}
	return domainQEMU, nil
}

func kvmIsFit(caps libvirtxml.DomainCaps) bool {
	if caps.CPU == nil {
		return false
	}
	for _, mode := range caps.CPU.Modes {
		if mode.Name == "host-model" {
			return mode.Supported == "yes" && !slices.ContainsFunc(mode.Features, func(f libvirtxml.DomainCapsCPUFeature) bool {
				return f.Name == "pni" && f.Policy == "disable"
			})
		}
	}
	return false
}
