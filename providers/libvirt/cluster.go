package libvirt

import (
	"context"
	"errors"
	"slices"
	"strings"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// Cluster is several libvirt daemons as one provider: its nodes. The hosts share
// the storage of the VMs' disks, under the same paths. It keeps nothing of its
// own: which host has a VM is asked of all of them, and what a migration needs
// to be followed, ended or cleaned up is in the VM's domain (move.go). It is safe
// for concurrent use.
//
// A host that does not answer takes nothing away from the VMs of the others.
type Cluster struct {
	hosts     []*host
	bandwidth uint64
	unsafe    bool
	moves     works // the migrations that this process began, by moveOf
}

// host is one daemon of a cluster.
type host struct {
	hostSettings
	p *Provider
}

// OpenCluster validates the settings (InvalidArgument) and does not connect.
func OpenCluster(ctx context.Context, cfg providers.Config) (*Cluster, error) {
	s, err := parseCluster(cfg)
	if err != nil {
		return nil, err
	}
	c := &Cluster{bandwidth: s.bandwidth, unsafe: s.unsafe}
	cfg.Options = s.rest
	for _, h := range s.hosts {
		cfg.URL = h.url
		p, err := Open(ctx, cfg)
		if err != nil {
			return nil, err
		}
		c.hosts = append(c.hosts, &host{hostSettings: h, p: p})
	}
	return c, nil
}

// Close drops the connections. A migration that this process began goes on.
func (c *Cluster) Close() error {
	c.moves.Shut()
	var errs []error
	for _, h := range c.hosts {
		errs = append(errs, h.p.Close())
	}
	c.moves.Wait()
	return errors.Join(errs...)
}

// answer is what one host said.
type answer[T any] struct {
	host  *host
	value T
	err   error
}

// ask asks all hosts at once. Each answer comes as it is there; every call of an
// adapter has a deadline of its own, so all come. What is left behind by a
// caller that has heard enough ends by itself: it is not cancelled, as that
// would cost the other callers their connection.
func ask[T any](ctx context.Context, hosts []*host, fn func(context.Context, *host) (T, error)) <-chan answer[T] {
	out := make(chan answer[T], len(hosts))
	ctx = context.WithoutCancel(ctx)
	for _, h := range hosts {
		go func() {
			v, err := fn(ctx, h)
			out <- answer[T]{h, v, err}
		}()
	}
	return out
}

// all asks all hosts and waits for the answers, in the order of the hosts. An
// error is that of ctx.
func all[T any](ctx context.Context, c *Cluster, op string, fn func(context.Context, *host) (T, error)) ([]answer[T], error) {
	if err := ctx.Err(); err != nil {
		return nil, rpc{op: op}.fail(err)
	}
	answers := ask(ctx, c.hosts, fn)
	out := make([]answer[T], 0, len(c.hosts))
	for range c.hosts {
		select {
		case a := <-answers:
			out = append(out, a)
		case <-ctx.Done():
			return nil, rpc{op: op}.fail(ctx.Err())
		}
	}
	slices.SortFunc(out, func(a, b answer[T]) int { return strings.Compare(a.host.name, b.host.name) })
	return out, nil
}

// merge joins lists of the hosts that answered; of equal elements one is kept.
// An error only when none answered, or when the trouble is not that a host is
// away.
func merge[T any](answers []answer[[]T], key func(T) string) ([]T, error) {
	var out []T
	var failed error
	seen := map[string]bool{}
	said := 0
	for _, a := range answers {
		switch {
		case a.err == nil:
			said++
		case !isAway(a.err):
			return nil, a.err
		default:
			failed = a.err
		}
		for _, v := range a.value {
			if k := key(v); !seen[k] {
				seen[k] = true
				out = append(out, v)
			}
		}
	}
	if said == 0 {
		return nil, failed
	}
	slices.SortFunc(out, func(a, b T) int { return strings.Compare(key(a), key(b)) })
	return out, nil
}

// isAway reports whether a host did not answer, as one that is down.
func isAway(err error) bool { return hasCode(err, providers.Unavailable, providers.DeadlineExceeded) }

// host returns the host of a node, nil for a name that is none of ours.
func (c *Cluster) host(name string) *host {
	for _, h := range c.hosts {
		if h.name == name {
			return h
		}
	}
	return nil
}

// checkName refuses a daemon that is not the host that the settings say: its
// VMs would be looked for under a wrong name.
func (h *host) checkName(ctx context.Context, op string) error {
	r := h.p.rpc(op)
	name, err := do(ctx, r, (*lv.Libvirt).ConnectGetHostname)
	if err == nil && name != h.name {
		err = r.errorf(providers.FailedPrecondition, "a host's own name is not the one that the option hosts gives it")
	}
	return err
}

// Info reports the versions of the first host that answers, and what all hosts
// that answer can do.
func (c *Cluster) Info(ctx context.Context) (providers.Info, error) {
	answers, err := all(ctx, c, "Info", func(ctx context.Context, h *host) (providers.Info, error) {
		if err := h.checkName(ctx, "Info"); err != nil {
			return providers.Info{}, err
		}
		return h.p.Info(ctx)
	})
	if err != nil {
		return providers.Info{}, err
	}
	var out providers.Info
	var away error
	for _, a := range answers {
		switch {
		case a.err != nil && !isAway(a.err):
			return providers.Info{}, a.err
		case a.err != nil:
			away = a.err
		case out.Kind == "":
			out = a.value
		default:
			out.Capabilities = slices.DeleteFunc(out.Capabilities, func(has models.Capability) bool {
				return !slices.Contains(a.value.Capabilities, has)
			})
		}
	}
	if out.Kind == "" {
		return out, away
	}
	if len(c.hosts) > 1 {
		out.Capabilities = append(out.Capabilities, models.CapLiveMigration, models.CapColdMigration)
	}
	return out, nil
}

// ListNodes returns all hosts; one that does not answer is DOWN, of unknown
// capacity.
func (c *Cluster) ListNodes(ctx context.Context) ([]providers.Node, error) {
	answers, err := all(ctx, c, "ListNodes", func(ctx context.Context, h *host) ([]providers.Node, error) {
		if err := h.checkName(ctx, "ListNodes"); err != nil {
			return nil, err
		}
		return h.p.ListNodes(ctx)
	})
	if err != nil {
		return nil, err
	}
	var down []providers.Node
	for _, a := range answers {
		if isAway(a.err) {
			down = append(down, providers.Node{Name: a.host.name, Cluster: clusterName, State: models.NodeDown})
		}
	}
	name := func(n providers.Node) string { return n.Name }
	nodes, err := merge(answers, name)
	if err != nil {
		return nil, err
	}
	nodes = append(nodes, down...)
	slices.SortFunc(nodes, func(a, b providers.Node) int { return strings.Compare(a.Name, b.Name) })
	return nodes, nil
}

// ListImages returns the images of the hosts that answer.
func (c *Cluster) ListImages(ctx context.Context) ([]providers.Image, error) {
	answers, err := all(ctx, c, "ListImages", func(ctx context.Context, h *host) ([]providers.Image, error) { return h.p.ListImages(ctx) })
	if err != nil {
		return nil, err
	}
	return merge(answers, func(i providers.Image) string { return i.Ref })
}

// ListNetworks returns the networks of the hosts that answer.
func (c *Cluster) ListNetworks(ctx context.Context) ([]providers.Network, error) {
	answers, err := all(ctx, c, "ListNetworks", func(ctx context.Context, h *host) ([]providers.Network, error) { return h.p.ListNetworks(ctx) })
	if err != nil {
		return nil, err
	}
	return merge(answers, func(n providers.Network) string { return n.Ref })
}

// refreshPools makes a host look anew at the directories that it shares: libvirt
// does not notice what another host puts there.
func refreshPools(ctx context.Context, r rpc) error {
	pools, err := activePools(ctx, r)
	if err != nil {
		return err
	}
	for _, pool := range pools {
		if err := run(ctx, r, func(c *lv.Libvirt) error { return c.StoragePoolRefresh(pool, 0) }); err != nil {
			return err
		}
	}
	return nil
}

var _ providers.Provider = (*Cluster)(nil)
