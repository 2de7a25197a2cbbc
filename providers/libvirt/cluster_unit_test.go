package libvirt

import (
	"maps"
	"strings"
	"testing"

	lv "github.com/digitalocean/go-libvirt"
	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func clusterConfig() providers.Config {
	return providers.Config{
		InstallationID: "i", URL: "qemu+tcp://a.test/system",
		Options: map[string]string{
			"pool":              "fast",
			"hosts":             "b.test=qemu+unix:///system?socket=/s/x, a.test=qemu+tcp://a.test/system",
			"peer_urls":         "b.test=qemu+tcp://b.test:1234/system",
			"migrate_uris":      "b.test=tcp://10.0.0.2:49200",
			"migrate_bandwidth": "100",
			"migrate_unsafe":    "true",
		},
	}
}

func TestClusterSettings(t *testing.T) {
	cfg := clusterConfig()
	before := maps.Clone(cfg.Options)
	s, err := parseCluster(cfg)
	require.NoError(t, err)
	require.Equal(t, []hostSettings{
		{name: "a.test", url: "qemu+tcp://a.test/system", peerURL: "qemu+tcp://a.test/system"},
		{name: "b.test", url: "qemu+unix:///system?socket=/s/x", peerURL: "qemu+tcp://b.test:1234/system", migrateURI: "tcp://10.0.0.2:49200"},
	}, s.hosts)
	require.Equal(t, uint64(100), s.bandwidth)
	require.True(t, s.unsafe)
	require.Equal(t, map[string]string{"pool": "fast"}, s.rest)
	require.Equal(t, before, cfg.Options, "the caller's options stay")

	p, err := Factory().Open(t.Context(), cfg)
	require.NoError(t, err)
	require.IsType(t, &Cluster{}, p)
	require.NoError(t, p.Close())
	delete(cfg.Options, "hosts")
	_, err = Factory().Open(t.Context(), cfg)
	require.Equal(t, providers.InvalidArgument, providers.CodeOf(err), "options of a cluster without one")
	cfg.Options = nil
	p, err = Factory().Open(t.Context(), cfg)
	require.NoError(t, err)
	require.IsType(t, &Provider{}, p)
	require.NoError(t, p.Close())
}

func TestClusterSettingsRefused(t *testing.T) {
	for name, spoil := range map[string]func(o map[string]string){
		"no pair":           func(o map[string]string) { o["hosts"] = "qemu+tcp://a.test/system" },
		"a name twice":      func(o map[string]string) { o["hosts"] += ",a.test=qemu+tcp://c.test/system" },
		"a name with signs": func(o map[string]string) { o["hosts"] += ",c:d=qemu+tcp://c.test/system" },
		"own URL missing":   func(o map[string]string) { o["hosts"] = "b.test=qemu+tcp://b.test/system" },
		"a host's URL":      func(o map[string]string) { o["hosts"] += ",c.test=qemu+ssh://c.test/system" },
		"the mock driver":   func(o map[string]string) { o["hosts"] += ",c.test=test+tcp://c.test/default" },
		"no peer URL":       func(o map[string]string) { delete(o, "peer_urls") },
		"peer by socket":    func(o map[string]string) { o["peer_urls"] = "b.test=qemu+unix:///system" },
		"peer with a user":  func(o map[string]string) { o["peer_urls"] = "b.test=qemu+tcp://root@b.test/system" },
		"peer, parameter":   func(o map[string]string) { o["peer_urls"] = "b.test=qemu+tls://b.test/system?no_verify=1" },
		"unknown peer":      func(o map[string]string) { o["peer_urls"] += ",c.test=qemu+tcp://c.test/system" },
		"migrate URI":       func(o map[string]string) { o["migrate_uris"] = "b.test=unix:///x" },
		"migrate path":      func(o map[string]string) { o["migrate_uris"] = "b.test=tcp://b.test/x" },
		"unknown migrate":   func(o map[string]string) { o["migrate_uris"] = "c.test=tcp://c.test" },
		"bandwidth":         func(o map[string]string) { o["migrate_bandwidth"] = "-1" },
		"unsafe":            func(o map[string]string) { o["migrate_unsafe"] = "perhaps" },
		"another option":    func(o map[string]string) { o["colour"] = "blue" },
	} {
		cfg := clusterConfig()
		spoil(cfg.Options)
		_, err := OpenCluster(t.Context(), cfg)
		require.Equal(t, providers.InvalidArgument, providers.CodeOf(err), name)
	}
}

func TestMoveNote(t *testing.T) {
	for _, m := range []move{{From: "a.test", To: "b", Live: true}, {From: `"/><x`, To: "&"}} {
		doc, err := m.encode()
		require.NoError(t, err)
		own, err := mark{VMID: testVM, Installation: "i"}.encode()
		require.NoError(t, err)
		// libvirt adds prefix and namespace to the element.
		doc = strings.Replace(doc, "<move ", `<hcpmove:move xmlns:hcpmove="`+moveNamespace+`" `, 1)
		doc = strings.Replace(doc, "</move>", "</hcpmove:move>", 1)
		require.Equal(t, &m, decodeMove(own+doc))
		require.Nil(t, decodeMove(own))
	}
	require.Nil(t, decodeMove("<"))
	require.Nil(t, decodeMove(`<move xmlns="urn:x" from="a" to="b"/>`))
}

func TestMoveTask(t *testing.T) {
	m := move{From: "a.test", To: "b-1.test", Live: true}
	got, vmID, ok := parseMoveTask(moveTask(testVM, m))
	require.True(t, ok)
	require.Equal(t, m, got)
	require.Equal(t, testVM, vmID)
	for _, task := range []providers.TaskRef{
		"", "move:", "move:true:x:a:b", "stop:" + testVM, "move:true:" + testVM + ":a", "move:maybe:" + testVM + ":a:b", "move:true:" + testVM + ":a:b:c",
	} {
		_, _, ok := parseMoveTask(task)
		require.False(t, ok, task)
	}
}

// TestWhichCopyIsKept is the table of settle: a copy that runs is always kept,
// and memory is never thrown away for a mere definition.
func TestWhichCopyIsKept(t *testing.T) {
	type copyOf struct {
		state  lv.DomainState
		reason int32
	}
	none := copyOf{state: -1}
	running, off := copyOf{lv.DomainRunning, 0}, copyOf{lv.DomainShutoff, 0}
	held := copyOf{lv.DomainPaused, int32(lv.DomainPausedMigration)}
	a, b := &host{hostSettings: hostSettings{name: "a"}}, &host{hostSettings: hostSettings{name: "b"}}
	for _, tc := range []struct {
		name     string
		from, to copyOf
		live     bool
		want     string
	}{
		{"arriving", running, held, true, "a"},
		{"handed over", held, running, true, "b"},
		{"neither runs: the source has not let go", held, held, true, "a"},
		{"only the destination has the memory", off, held, true, "b"},
		{"only the source has the memory", held, off, true, "a"},
		{"arrived", none, running, true, "b"},
		{"arrived, held", none, held, true, "b"},
		{"never left", running, none, true, "a"},
		{"never left, held", held, none, true, "a"},
		{"source ended, destination runs", off, running, true, "b"},
		{"carried halfway", off, off, false, "a"},
		{"carried", none, off, false, "b"},
		{"carried halfway, then started there", off, running, false, "b"},
	} {
		m := move{From: "a", To: "b", Live: tc.live}
		var v view
		for h, c := range map[*host]copyOf{a: tc.from, b: tc.to} {
			if c != none {
				v.copies = append(v.copies, answer[sighting]{host: h, value: sighting{present: true, move: &m, state: c.state, reason: c.reason}})
			}
		}
		keep := v.on("a")
		if mayKeep(v.on("b"), v.on("a"), m) {
			keep = v.on("b")
		}
		require.Equal(t, tc.want, keep.host.name, tc.name)
		best, err := v.best("Test")
		require.NoError(t, err)
		require.Equal(t, tc.want, best.host.name, "what is shown is what will be kept: "+tc.name)
	}
}

// TestViewOfAbsence shows when a VM is not there, and when nobody knows.
func TestViewOfAbsence(t *testing.T) {
	_, err := view{}.best("Test")
	require.Equal(t, providers.NotFound, providers.CodeOf(err))
	away := rpc{op: "Test"}.errorf(providers.Unavailable, "down")
	_, err = view{silent: map[string]error{"b": away}}.best("Test")
	require.ErrorIs(t, err, away)

	a := &host{hostSettings: hostSettings{name: "a"}}
	m := move{From: "a", To: "b"}
	off := sighting{present: true, move: &m, state: lv.DomainShutoff}
	v := view{copies: []answer[sighting]{{host: a, value: off}}, silent: map[string]error{"b": away}}
	_, err = v.best("Test")
	require.ErrorIs(t, err, away, "it may run there")
	v.copies[0].value.state = lv.DomainRunning
	best, err := v.best("Test")
	require.NoError(t, err)
	require.Equal(t, "a", best.host.name)
	v.copies[0].value.state, v.copies[0].value.move = lv.DomainShutoff, nil
	best, err = v.best("Test")
	require.NoError(t, err)
	require.Equal(t, models.PowerStopped, best.value.power(), "without a note it is the only copy")
}
