package main

import (
	"errors"
	"fmt"
	"net"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/dev/stack"
	"github.com/hypervisor-control-plane/hcp/providers/sim"
	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

func newSimCommand() *cobra.Command {
	var (
		kind, listen     string
		allowNonLoopback bool
		o                simhv.Options
	)
	cmd := &cobra.Command{
		Use:   "sim --listen HOST:PORT",
		Short: "Run a simulated hypervisor as a process of its own",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if kind != string(sim.Kind) {
				return fmt.Errorf("--kind %q: only %q is simulated", kind, sim.Kind)
			}
			// Its admin side asks nobody who they are.
			if err := checkLoopback("--listen", listen, allowNonLoopback); err != nil {
				return err
			}
			var lc net.ListenConfig
			l, err := lc.Listen(cmd.Context(), "tcp", listen)
			if err != nil {
				return fmt.Errorf("cannot listen on %s: %w", listen, err)
			}
			s, err := stack.StartSim(l, o)
			if err != nil {
				return err
			}
			if _, err := fmt.Fprintf(cmd.OutOrStdout(), "simulated hypervisor %s\n", s.URL()); err != nil {
				return errors.Join(err, s.Stop())
			}
			select {
			case <-cmd.Context().Done():
				return s.Stop()
			case err := <-s.Failed():
				return errors.Join(err, s.Stop())
			}
		},
	}
	f := cmd.Flags()
	f.StringVar(&kind, "kind", string(sim.Kind), "what is simulated")
	f.StringVar(&listen, "listen", "127.0.0.1:7070", "host:port")
	f.StringVar(&o.StateFile, "state", "", "file that keeps its state (default: in memory)")
	f.IntVar(&o.Nodes, "nodes", simhv.DefaultNodes, "number of nodes")
	f.IntVar(&o.NodeVCPUs, "node-vcpus", simhv.DefaultNodeVCPUs, "vCPUs of each node")
	f.IntVar(&o.NodeMemoryMiB, "node-memory-mib", simhv.DefaultNodeMemoryMiB, "memory of each node, in MiB")
	f.DurationVar(&o.TaskDelay, "task-delay", 0, "how long each task takes")
	f.StringSliceVar(&o.Capabilities.Withdraw, "withdraw", nil, "capabilities that it does not have, such as suspend,snapshot_memory")
	f.BoolVar(&o.Capabilities.RDPOnly, "rdp-only", false, "offer RDP as the one console: a descriptor, and no stream")
	f.BoolVar(&allowNonLoopback, "allow-non-loopback", false, "let --listen be an address that other machines reach")
	return cmd
}
