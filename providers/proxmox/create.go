package proxmox

import (
	"context"
	"strconv"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/background"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// order is a request that was checked: what it takes can be written into a
// configuration.
type order struct {
	req      providers.CreateVMRequest
	hostname string
	nics     []nicConfig
	init     params // of cloud-init
	rootOnly bool   // the other disks of what is cloned are not wanted
}

// check turns a request into an order. What a tenant wrote that cannot be carried
// is InvalidArgument.
func (p *Provider) check(op string, req providers.CreateVMRequest) (order, *providers.Error) {
	o := order{req: req}
	wrong := ""
	switch {
	case !vmid.Valid(req.VMID):
		wrong = "the VM ID is not a UUID in its canonical form"
	case req.VCPUs <= 0 || req.MemoryMiB <= 0 || req.DiskGiB <= 0:
		wrong = "vCPUs, memory and disk must be positive"
	case req.Image.Ref == "":
		wrong = "the image is missing"
	case len(req.Name) > 1000:
		wrong = "the name is too long"
	case len(req.NICs) > maxNICs:
		wrong = "the hypervisor takes no more than 32 interfaces"
	case len(req.CloudInit.UserData) > 0 && p.cfg.isoStorage == "" && p.cfg.snippetStorage == "":
		wrong = "custom user data needs a storage for ISO images, which this provider is not configured with"
	}
	if wrong != "" {
		return o, fail(op, providers.InvalidArgument, nil, wrong)
	}
	o.hostname = hostname(req)
	for _, nic := range req.NICs {
		n, ok := newNIC(nic)
		if !ok {
			return o, fail(op, providers.InvalidArgument, nil, "an interface needs a MAC address and a network such as vmbr0 or vmbr0.20")
		}
		o.nics = append(o.nics, n)
	}
	var err error
	if o.init, err = cloudInitConfig(req.CloudInit, req.NICs, numberedNICs(len(req.NICs))); err != nil {
		return o, fail(op, providers.InvalidArgument, nil, err.Error())
	}
	return o, nil
}

const maxNICs = 32

// hostname is the name that the VM has on the hypervisor, which is also what
// cloud-init calls the guest.
func hostname(req providers.CreateVMRequest) string {
	for _, name := range []string{req.CloudInit.Hostname, req.Name} {
		if isDNSName(name) {
			return name
		}
	}
	return dnsName(req.Name, "vm-"+req.VMID)
}

func newNIC(nic providers.NIC) (nicConfig, bool) {
	mac, err := parseMAC(nic.MAC)
	network, ok := parseNetworkRef(nic.Network.Ref)
	return nicConfig{model: "virtio", mac: mac, network: network}, err == nil && ok
}

// CreateVM clones the template, and then, in the background, sets the VM up: disk
// size, configuration, cloud-init. The last write takes "making" out of the mark,
// so a VM without it is complete.
func (p *Provider) CreateVM(ctx context.Context, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, error) {
	const op = "CreateVM"
	ref, task, err := p.create(ctx, op, req)
	if err != nil {
		return "", "", elsewhere(err)
	}
	return ref, task, nil
}

func (p *Provider) create(ctx context.Context, op string, req providers.CreateVMRequest) (providers.VMRef, providers.TaskRef, *providers.Error) {
	o, err := p.check(op, req)
	if err != nil {
		return "", "", err
	}
	m, err := p.settled(ctx, op, req.VMID)
	if err != nil {
		return "", "", err
	}
	if m != nil {
		task, err := p.goOn(ctx, op, o, m)
		return refOf(m.VMID), task, err
	}
	rows, err := p.rows(ctx, op)
	if err != nil {
		return "", "", err
	}
	s, err := p.template(ctx, op, req.Image.Ref, req.Node, rows)
	if err != nil {
		return "", "", err
	}
	if s.root().sizeGiB() > req.DiskGiB {
		return "", "", fail(op, providers.InvalidArgument, nil, "the disk is smaller than the image")
	}
	if err := p.checkNode(ctx, op, s); err != nil {
		return "", "", err
	}
	if err := p.checkNetworks(ctx, op, s.node(), o.nics); err != nil {
		return "", "", err
	}
	upid, err := p.clone(ctx, op, o, s)
	if err != nil {
		return "", "", err
	}
	task, err := p.carryOn(ctx, op, o, upid)
	if err != nil {
		return "", "", err
	}
	return p.begun(ctx, op, req.VMID, task)
}

// begun reads what a clone that was begun has come to.
func (p *Provider) begun(ctx context.Context, op, vmID string, task providers.TaskRef) (providers.VMRef, providers.TaskRef, *providers.Error) {
	m, err := p.settled(ctx, op, vmID)
	switch {
	case err != nil && task != "" && err.Code.Retryable():
		// The clone shows no mark yet: where it is, is told later.
		return refOf(p.cfg.vmidCandidates(vmID)[0]), task, nil
	case err != nil:
		return "", "", err
	case m == nil:
		return "", "", fail(op, providers.Aborted, nil, "the VM was removed while it was being made")
	}
	return refOf(m.VMID), task, nil
}

func refOf(vmid int) providers.VMRef { return providers.VMRef(strconv.Itoa(vmid)) }

// goOn goes on with a VM that is there already.
func (p *Provider) goOn(ctx context.Context, op string, o order, m *machine) (providers.TaskRef, *providers.Error) {
	switch {
	case m.Mark.Deleting:
		return "", fail(op, providers.Aborted, nil, "the VM is being removed")
	case m.Mark.Making:
		return p.carryOn(ctx, op, o, "")
	case rootKey(m.Config) == "":
		// Somebody took its disk away: it is removed, and made anew by the next call.
		if _, err := p.remove(ctx, op, o.req.VMID); err != nil {
			return "", err
		}
		return "", fail(op, providers.Aborted, nil, "the VM had lost its disk, and is made anew")
	}
	return "", nil
}

// carryOn sets a VM up in the background once its clone is done. upid is the
// clone's task where this call began it.
func (p *Provider) carryOn(ctx context.Context, op string, o order, upid string) (providers.TaskRef, *providers.Error) {
	return p.carry(ctx, op, workTask(o.req.VMID, workCreate, upid), func(ctx context.Context) *providers.Error {
		if upid != "" {
			err := p.await(ctx, op, upid)
			if hasCode(err, providers.AlreadyExists) {
				// The VMID is taken in the task: whoever was faster may make this very VM.
				return fail(op, providers.Aborted, err, "another VM has just been given this place")
			}
			if err != nil {
				return err
			}
		}
		m, err := p.unlocked(ctx, op, o.req.VMID)
		if err != nil || !m.Mark.Making {
			return err
		}
		if o.rootOnly {
			if m, err = p.dropCopies(ctx, op, m); err != nil {
				return err
			}
		}
		if m, err = p.grow(ctx, op, o, m); err != nil {
			return err
		}
		return p.setUp(ctx, op, o, m)
	})
}

// unlocked waits until a VM that is being made is not locked any more, and reads
// it. The VM goes away where its clone failed.
func (p *Provider) unlocked(ctx context.Context, op, vmID string) (*machine, *providers.Error) {
	for wait := background.FirstPause; ; wait = background.Longer(wait) {
		m, err := p.find(ctx, op, vmID)
		switch {
		case err != nil:
			return nil, err
		case m == nil:
			return nil, fail(op, providers.Aborted, nil, "the VM went away while it was being made")
		case m.Mark.Deleting:
			return nil, fail(op, providers.Aborted, nil, "the VM is being removed")
		case m.Config["lock"] == "" && m.Lock == "":
			return m, nil
		}
		if err := pause(ctx, op, wait); err != nil {
			return nil, err
		}
	}
}

// grow brings the root disk to its size, and reads the VM anew where it did.
func (p *Provider) grow(ctx context.Context, op string, o order, m *machine) (*machine, *providers.Error) {
	key := rootKey(m.Config)
	root, ok := parseDiskConfig(m.Config[key])
	if !ok {
		return nil, fail(op, providers.InvalidArgument, nil, "the template has no disk")
	}
	if root.sizeGiB() >= o.req.DiskGiB {
		return m, nil
	}
	var task string
	err := p.put(ctx, op, vmPath(m, "resize"), params{
		"disk": key, "size": strconv.Itoa(o.req.DiskGiB) + "G", "digest": m.Config["digest"],
	}, &task)
	if err == nil && task != "" {
		err = p.await(ctx, op, task)
	}
	if err != nil {
		return nil, err
	}
	return p.unlocked(ctx, op, o.req.VMID)
}

// lookCreate tells by the VM how its making stands.
func (p *Provider) lookCreate(ctx context.Context, op string, w workRef, m *machine) (providers.TaskStatus, *providers.Error) {
	switch {
	case m == nil:
		return p.lookUPID(ctx, op, w)
	case !m.Mark.Making:
		return background.Done(nil), nil
	case m.Lock != "" || m.Config["lock"] != "":
		return providers.TaskStatus{}, nil
	}
	return p.lookUPID(ctx, op, w)
}
