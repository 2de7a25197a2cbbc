package e2e_test

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// What was there before is there after, however the process ended.
func TestStateSurvives(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	c := p.tenant()
	a := c.create(t, "survivor")
	before := c.done(t, a.JobID)
	first := p.info

	for _, end := range []struct {
		name string
		how  func()
	}{
		{"Ctrl-C", func() { p.interrupt(t) }},
		{"kill -9", func() { p.kill(t) }},
	} {
		end.how()
		p = start(t, dir)
		t.Logf("ready %v after %s", p.ready, end.name)
		require.Equal(t, first.APIURL, p.APIURL)
		require.Equal(t, first.TemporalAddress, p.TemporalAddress, "ports are kept")
		require.Equal(t, first.SimhvURL, p.SimhvURL, "ports are kept")

		c = client{p.APIURL, first.TenantToken, p.ProjectID} // the old token is still good
		requireVM(t, c, a.VMID, "ACTIVE", "RUNNING")
		require.Equal(t, before.Steps, c.job(t, a.JobID).Steps, "steps come from Temporal's history")
		require.Equal(t, "running", requireOnHypervisor(t, p, a.VMID).Power)
		c.done(t, c.verb(t, a.VMID, "reboot", map[string]any{"mode": "force"}).JobID)
	}
	p.interrupt(t)
}

// Another process has taken the simulated hypervisor's port meanwhile.
func TestSimulatedHypervisorMoves(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	p := start(t, dir)
	a := p.tenant().create(t, "moved")
	p.tenant().done(t, a.JobID)
	old := p.SimhvURL
	p.interrupt(t)

	occupy(t, old[len("http://"):])
	p = start(t, dir)
	require.NotEqual(t, old, p.SimhvURL)
	c := p.tenant()
	c.done(t, c.verb(t, a.VMID, "stop", map[string]any{"mode": "force"}).JobID)
	require.Equal(t, "stopped", requireOnHypervisor(t, p, a.VMID).Power)
}
