// Package e2e tests the development binary from outside: real processes, real
// HTTP, kills and restarts, a simulated hypervisor that misbehaves and a real
// libvirtd. It has tests only.
//
// The tests know the control plane by its API alone, and the truth by the
// hypervisor's own view of itself. What is asserted of a VM is asserted of both.
package e2e
