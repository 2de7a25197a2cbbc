package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// What is simulated.
const (
	simKind     = string(sim.Kind)
	proxmoxKind = "proxmox" // a Proxmox VE cluster
	vsphereKind = "vsphere" // a vCenter, or an ESXi host
)

// simFlags are what a simulated hypervisor is started with.
type simFlags struct {
	kind, listen                string
	allowNonLoopback, plainHTTP bool
	nodes, vcpus, memoryMiB     int
	taskDelay                   time.Duration
	snippetUpload, esxi         bool
	o                           simhv.Options // what only the kind "sim" has
}

// kindsOf tells of flags which kinds they go with; those that are not here go with all.
type kindsOf struct {
	flags, kinds []string
}

func flagKinds() []kindsOf {
	return []kindsOf{
		{[]string{"state", "withdraw", "rdp-only"}, []string{simKind}},
		{[]string{"plain-http", "snippet-upload"}, []string{proxmoxKind}},
		{[]string{"esxi"}, []string{vsphereKind}},
	}
}

func newSimCommand() *cobra.Command {
	var flags simFlags
	cmd := &cobra.Command{
		Use:   "sim --listen HOST:PORT",
		Short: "Run a simulated hypervisor as a process of its own",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return flags.run(cmd) },
	}
	f := cmd.Flags()
	f.StringVar(&flags.kind, "kind", simKind, `what is simulated: "sim", "proxmox" for a Proxmox VE cluster, or "vsphere" for a vCenter or an ESXi host`)
	f.StringVar(&flags.listen, "listen", "127.0.0.1:7070", "host:port")
	f.StringVar(&flags.o.StateFile, "state", "", "file that keeps its state (default: in memory)")
	f.IntVar(&flags.nodes, "nodes", 0, fmt.Sprintf("number of nodes (default %d; %d with --kind proxmox, %d with --kind vsphere)",
		simhv.DefaultNodes, proxmoxsim.DefaultNodes, vspheresim.DefaultHosts))
	f.IntVar(&flags.vcpus, "node-vcpus", simhv.DefaultNodeVCPUs, "vCPUs of each node")
	f.IntVar(&flags.memoryMiB, "node-memory-mib", simhv.DefaultNodeMemoryMiB, "memory of each node, in MiB")
	f.DurationVar(&flags.taskDelay, "task-delay", 0, "how long each task takes")
	f.StringSliceVar(&flags.o.Capabilities.Withdraw, "withdraw", nil, "capabilities that it does not have, such as suspend,snapshot_memory")
	f.BoolVar(&flags.o.Capabilities.RDPOnly, "rdp-only", false, "offer RDP as the one console: a descriptor, and no stream")
	f.BoolVar(&flags.allowNonLoopback, "allow-non-loopback", false, "let --listen be an address that other machines reach")
	f.BoolVar(&flags.plainHTTP, "plain-http", false, "with --kind proxmox: no TLS, on a loopback address")
	f.BoolVar(&flags.snippetUpload, "snippet-upload", false, "with --kind proxmox: let the API take snippets, for cloud-init user data")
	f.BoolVar(&flags.esxi, "esxi", false, "with --kind vsphere: one ESXi host that stands alone, without a vCenter")
	return cmd
}

func (f *simFlags) run(cmd *cobra.Command) error {
	if err := f.check(cmd.Flags().Changed); err != nil {
		return err
	}
	s, err := f.start(cmd.Context(), cmd.OutOrStdout())
	if err != nil {
		return err
	}
	return waitForSim(cmd.Context(), s)
}

func (f *simFlags) check(changed func(flag string) bool) error {
	if !slices.Contains([]string{simKind, proxmoxKind, vsphereKind}, f.kind) {
		return fmt.Errorf("--kind %q: only %q, %q and %q are simulated", f.kind, simKind, proxmoxKind, vsphereKind)
	}
	for _, of := range flagKinds() {
		for _, name := range of.flags {
			if changed(name) && !slices.Contains(of.kinds, f.kind) {
				return fmt.Errorf("--%s does not go with --kind %s, but with --kind %s", name, f.kind, strings.Join(of.kinds, " or "))
			}
		}
	}
	if f.esxi && changed("nodes") {
		return errors.New("--nodes does not go with --esxi: that is one host")
	}
	// Its admin side asks nobody who they are, and its credentials are no secret.
	return checkLoopback("--listen", f.listen, f.allowNonLoopback && !f.plainHTTP)
}

// start starts it and says how it is reached.
func (f *simFlags) start(ctx context.Context, out io.Writer) (*stack.Sim, error) {
	if f.kind == vsphereKind {
		return f.startVSphere(out)
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", f.listen)
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s: %w", f.listen, err)
	}
	if f.kind == proxmoxKind {
		return f.startProxmox(l, out)
	}
	f.o.Nodes, f.o.NodeVCPUs, f.o.NodeMemoryMiB, f.o.TaskDelay = f.nodes, f.vcpus, f.memoryMiB, f.taskDelay
	s, err := stack.StartSim(l, f.o)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(out, "simulated hypervisor %s\n", s.URL())
	return s, stopOn(err, s)
}

func (f *simFlags) startProxmox(l net.Listener, out io.Writer) (*stack.Sim, error) {
	s, err := stack.StartProxmoxSim(l, proxmoxsim.Options{
		Nodes: f.nodes, NodeVCPUs: f.vcpus, NodeMemoryMiB: f.memoryMiB, TaskDelay: f.taskDelay, SnippetUpload: f.snippetUpload,
	}, f.plainHTTP)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(out, "simulated Proxmox VE cluster %s\nfingerprint %s\ntoken %s\n", s.URL(), s.Fingerprint(), proxmoxsim.DefaultToken)
	return s.Sim, stopOn(err, s.Sim)
}

// startVSphere starts a vCenter or an ESXi host, which listens by itself.
func (f *simFlags) startVSphere(out io.Writer) (*stack.Sim, error) {
	s, err := stack.StartVSphereSim(vspheresim.Options{
		ESXi: f.esxi, Listen: f.listen, Hosts: f.nodes, NodeVCPUs: f.vcpus, NodeMemoryMiB: f.memoryMiB, TaskDelay: f.taskDelay,
	})
	if err != nil {
		return nil, err
	}
	what, networks := "vCenter", []string{vspheresim.Network, vspheresim.Portgroup}
	if f.esxi {
		what, networks = "ESXi host", networks[:1]
	}
	said := fmt.Sprintf("simulated %s %s\nthumbprint %s\nusername %s\npassword %s\nimage %s\n",
		what, s.URL(), s.Thumbprint(), vspheresim.Username, vspheresim.Password, vspheresim.Template)
	for _, n := range networks {
		said += "network " + n + "\n"
	}
	_, err = io.WriteString(out, said)
	return s.Sim, stopOn(err, s.Sim)
}

func stopOn(err error, s *stack.Sim) error {
	if err == nil {
		return nil
	}
	return errors.Join(err, s.Stop())
}

func waitForSim(ctx context.Context, s *stack.Sim) error {
	select {
	case <-ctx.Done():
		return s.Stop()
	case err := <-s.Failed():
		return errors.Join(err, s.Stop())
	}
}
