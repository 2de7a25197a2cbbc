package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/providers/proxmox/proxmoxsim"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// proxmoxKind is a simulated Proxmox VE cluster.
const proxmoxKind = "proxmox"

// simFlags are what a simulated hypervisor is started with.
type simFlags struct {
	kind, listen                string
	allowNonLoopback, plainHTTP bool
	nodes, vcpus, memoryMiB     int
	taskDelay                   time.Duration
	snippetUpload               bool
	o                           simhv.Options // what only the kind "sim" has
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
	f.StringVar(&flags.kind, "kind", string(sim.Kind), `what is simulated: "sim", or "proxmox" for a Proxmox VE cluster`)
	f.StringVar(&flags.listen, "listen", "127.0.0.1:7070", "host:port")
	f.StringVar(&flags.o.StateFile, "state", "", "file that keeps its state (default: in memory)")
	f.IntVar(&flags.nodes, "nodes", 0, fmt.Sprintf("number of nodes (default %d, or %d with --kind proxmox)", simhv.DefaultNodes, proxmoxsim.DefaultNodes))
	f.IntVar(&flags.vcpus, "node-vcpus", simhv.DefaultNodeVCPUs, "vCPUs of each node")
	f.IntVar(&flags.memoryMiB, "node-memory-mib", simhv.DefaultNodeMemoryMiB, "memory of each node, in MiB")
	f.DurationVar(&flags.taskDelay, "task-delay", 0, "how long each task takes")
	f.StringSliceVar(&flags.o.Capabilities.Withdraw, "withdraw", nil, "capabilities that it does not have, such as suspend,snapshot_memory")
	f.BoolVar(&flags.o.Capabilities.RDPOnly, "rdp-only", false, "offer RDP as the one console: a descriptor, and no stream")
	f.BoolVar(&flags.allowNonLoopback, "allow-non-loopback", false, "let --listen be an address that other machines reach")
	f.BoolVar(&flags.plainHTTP, "plain-http", false, "with --kind proxmox: no TLS, on a loopback address")
	f.BoolVar(&flags.snippetUpload, "snippet-upload", false, "with --kind proxmox: let the API take snippets, for cloud-init user data")
	return cmd
}

func (f *simFlags) run(cmd *cobra.Command) error {
	if err := f.check(); err != nil {
		return err
	}
	var lc net.ListenConfig
	l, err := lc.Listen(cmd.Context(), "tcp", f.listen)
	if err != nil {
		return fmt.Errorf("cannot listen on %s: %w", f.listen, err)
	}
	s, err := f.start(l, cmd.OutOrStdout())
	if err != nil {
		return err
	}
	return waitForSim(cmd.Context(), s)
}

func (f *simFlags) check() error {
	if f.kind != string(sim.Kind) && f.kind != proxmoxKind {
		return fmt.Errorf("--kind %q: only %q and %q are simulated", f.kind, sim.Kind, proxmoxKind)
	}
	if f.kind == proxmoxKind && (f.o.StateFile != "" || f.o.Capabilities.Withdraw != nil || f.o.Capabilities.RDPOnly) {
		return fmt.Errorf("--state, --withdraw and --rdp-only do not go with --kind %s", proxmoxKind)
	}
	if f.kind != proxmoxKind && (f.plainHTTP || f.snippetUpload) {
		return fmt.Errorf("--plain-http and --snippet-upload go with --kind %s", proxmoxKind)
	}
	// Its admin side asks nobody who they are, and its token is no secret.
	return checkLoopback("--listen", f.listen, f.allowNonLoopback && !f.plainHTTP)
}

// start starts it and says how it is reached.
func (f *simFlags) start(l net.Listener, out io.Writer) (*stack.Sim, error) {
	if f.kind == proxmoxKind {
		s, err := stack.StartProxmoxSim(l, proxmoxsim.Options{
			Nodes: f.nodes, NodeVCPUs: f.vcpus, NodeMemoryMiB: f.memoryMiB, TaskDelay: f.taskDelay, SnippetUpload: f.snippetUpload,
		}, f.plainHTTP)
		if err != nil {
			return nil, err
		}
		_, err = fmt.Fprintf(out, "simulated Proxmox VE cluster %s\nfingerprint %s\ntoken %s\n", s.URL(), s.Fingerprint(), proxmoxsim.DefaultToken)
		return s.Sim, stopOn(err, s.Sim)
	}
	f.o.Nodes, f.o.NodeVCPUs, f.o.NodeMemoryMiB, f.o.TaskDelay = f.nodes, f.vcpus, f.memoryMiB, f.taskDelay
	s, err := stack.StartSim(l, f.o)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(out, "simulated hypervisor %s\n", s.URL())
	return s, stopOn(err, s)
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
