package proxmoxsim

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// refusal is a request that the real daemons refuse, and how, after steps that
// they take.
type refusal struct {
	name   string
	steps  [][]string // method, path and parameters
	method string
	path   string
	params []string
	want   string
}

func refuseAll(t *testing.T, opts Options, all []refusal) {
	t.Helper()
	for _, c := range all {
		t.Run(c.name, func(t *testing.T) {
			v := cluster(t, opts)
			v.clone101()
			for _, step := range c.steps {
				v.do(step[0], step[1], step[2:]...)
			}
			v.refused(c.want, c.method, c.path, c.params...)
		})
	}
}

func TestPowerThatTheStateDoesNotAllow(t *testing.T) {
	const post, status = http.MethodPost, vm101 + "/status/"
	started := []string{post, status + "start"}
	paused := [][]string{started, {post, status + "suspend"}}
	snapshot := []string{post, vm101 + "/snapshot", "snapname", "one"}
	refuseAll(t, Options{}, []refusal{
		{"start of one that runs", [][]string{started}, post, status + "start", nil, "VM 101 already running"},
		{"start of a template", nil, post, "/nodes/pve1/qemu/9000/status/start", nil, "you can't start a vm if it's a template"},
		{"start of nothing", nil, post, "/nodes/pve1/qemu/999/status/start", nil, "Configuration file 'nodes/pve1/qemu-server/999.conf' does not exist"},
		{"start on a wrong node", nil, post, "/nodes/pve2/qemu/101/status/start", nil, "Configuration file 'nodes/pve2/qemu-server/101.conf' does not exist"},
		{"stop of nothing", nil, post, "/nodes/pve1/qemu/999/status/stop", nil, "does not exist"},
		{"shutdown of nothing", nil, post, "/nodes/pve1/qemu/999/status/shutdown", nil, "does not exist"},
		{"shutdown of one that is paused", paused, post, status + "shutdown", nil, "VM is paused - cannot shutdown"},
		{"reboot of one that is paused", paused, post, status + "reboot", nil, "VM is paused - cannot shutdown"},
		{"reboot of one that is off", nil, post, status + "reboot", nil, "VM 101 not running"},
		{"reset of one that is off", nil, post, status + "reset", nil, "VM 101 not running"},
		{"reset of nothing", nil, post, "/nodes/pve1/qemu/999/status/reset", nil, "unable to find configuration file for VM 999 - no such machine"},
		{"suspend of one that is off", nil, post, status + "suspend", nil, "VM 101 not running"},
		{"suspend to a storage that is not named as one", [][]string{started}, post, status + "suspend", []string{"statestorage", "shared"}, "missing property - 'statestorage' requires this property"},
		{"resume of one that is off", nil, post, status + "resume", nil, "VM 101 not running"},
		{"locks are not skipped by others", [][]string{started}, post, status + "stop", []string{"skiplock", "1"}, "Only root may use this option."},
		{"template of one that runs", [][]string{started}, post, vm101 + "/template", nil, "you can't convert a VM to template if VM is running"},
		{"template of one with snapshots", [][]string{snapshot}, post, vm101 + "/template", nil, "unable to create template, because VM contains snapshots"},
		{"template of a template", nil, post, "/nodes/pve1/qemu/9000/template", nil, "you can't convert a template to a template"},
	})
}

func TestSnapshotsThatAreRefused(t *testing.T) {
	const post, del = http.MethodPost, http.MethodDelete
	take := func(name string) []string { return []string{post, vm101 + "/snapshot", "snapname", name} }
	block := []string{http.MethodPut, vm101 + "/config", "scsi1", "block:1"}
	refuseAll(t, Options{Storages: []Storage{
		{ID: "shared", Type: "nfs", Shared: true, Content: []string{"images"}, GiB: 100},
		{ID: "block", Type: "lvm", Content: []string{"images"}, GiB: 100},
		{ID: "pool", Type: "zfspool", Content: []string{"images"}, GiB: 100},
	}}, []refusal{
		{"a name twice", [][]string{take("one")}, post, vm101 + "/snapshot", []string{"snapname", "one"}, "snapshot name 'one' already used"},
		{"a name of the daemon's", nil, post, vm101 + "/snapshot", []string{"snapname", "current"}, "unable to use snapshot name 'current' (reserved name)"},
		{"another name of the daemon's", nil, post, vm101 + "/snapshot", []string{"snapname", "Pending"}, "unable to use snapshot name 'Pending' (reserved name)"},
		{"a name that begins with a digit", nil, post, vm101 + "/snapshot", []string{"snapname", "1st"}, "invalid configuration ID '1st'"},
		{"a name that is too long", nil, post, vm101 + "/snapshot", []string{"snapname", strings.Repeat("a", 41)}, "value may only be 40 characters long"},
		{"a name with a blank", nil, post, vm101 + "/snapshot", []string{"snapname", "my snapshot"}, "invalid configuration ID"},
		{"of a template", nil, post, "/nodes/pve1/qemu/9000/snapshot", []string{"snapname", "one"}, "you can't take a snapshot if it's a template"},
		{"on a storage without", [][]string{block}, post, vm101 + "/snapshot", []string{"snapname", "one"}, "snapshot feature is not available"},
		{"rollback to nothing", nil, post, vm101 + "/snapshot/one/rollback", nil, "snapshot 'one' does not exist"},
		{"rollback of a template", nil, post, "/nodes/pve1/qemu/9000/snapshot/one/rollback", nil, "you can't rollback if vm is a template"},
		{"delete of nothing", nil, del, vm101 + "/snapshot/one", nil, "snapshot 'one' does not exist"},
		{
			"rollback past a later one",
			[][]string{{http.MethodPut, vm101 + "/config", "scsi1", "pool:1"}, take("one"), take("two")},
			post, vm101 + "/snapshot/one/rollback", nil, "can't rollback, 'one' is not most recent snapshot on 'pool:vm-101-disk-0'",
		},
	})
}

func TestConfigurationThatIsRefused(t *testing.T) {
	const put, config = http.MethodPut, vm101 + "/config"
	protected := []string{put, config, "protection", "1", "scsi1", "local-lvm:1"}
	refuseAll(t, Options{}, []refusal{
		{"a digest of yesterday", nil, put, config, []string{"cores", "2", "digest", strings.Repeat("0", 40)}, "detected modified configuration - file changed by other user? Try again."},
		{"a digest of yesterday with a resize", nil, put, vm101 + "/resize", []string{"disk", "scsi0", "size", "9G", "digest", strings.Repeat("0", 40)}, "checksum mismatch (file change by other user?)"},
		{"a resize of no disk", nil, put, vm101 + "/resize", []string{"disk", "scsi7", "size", "9G"}, "disk 'scsi7' does not exist"},
		{"a resize of a medium", nil, put, vm101 + "/resize", []string{"disk", "ide2", "size", "9G"}, "you can't resize a cdrom"},
		{"a resize to less", nil, put, vm101 + "/resize", []string{"disk", "scsi0", "size", "1G"}, "shrinking disks is not supported"},
		{"a resize of nothing", nil, put, "/nodes/pve1/qemu/999/resize", []string{"disk", "scsi0", "size", "9G"}, "does not exist"},
		{"a size that is none", nil, put, vm101 + "/resize", []string{"disk", "scsi0", "size", "many"}, "value does not match the regex pattern"},
		{"a name that is no name", nil, put, config, []string{"name", "my_vm"}, "value does not look like a valid DNS name"},
		{"a boot device that is not there", nil, put, config, []string{"boot", "order=scsi9"}, "invalid bootorder: device 'scsi9' does not exist'"},
		{"a disk of a protected VM", [][]string{protected}, put, config, []string{"delete", "scsi1"}, "can't remove drive 'scsi1' - protection mode enabled"},
		{"an option set and deleted", nil, put, config, []string{"cores", "2", "delete", "cores"}, "can't set and delete the same option"},
		{"an import that names a size", nil, put, config, []string{"scsi1", "local-lvm:8,import-from=shared:9000/base-9000-disk-0.qcow2"}, "'import-from' requires special syntax"},
		{"a volume of another VM", nil, put, config, []string{"scsi1", "shared:9000/base-9000-disk-0.qcow2"}, "it belongs to VM 9000"},
		{"a parameter that is none", nil, put, config, []string{"vcpu", "2"}, "property is not defined in schema"},
		{"force without delete", nil, put, config, []string{"force", "1"}, "'force' requires this property"},
	})
}

func TestClonesAndRemovalsThatAreRefused(t *testing.T) {
	const post, del, source = http.MethodPost, http.MethodDelete, "/nodes/pve1/qemu/9000/clone"
	protected := []string{http.MethodPut, vm101 + "/config", "protection", "1"}
	started := []string{post, vm101 + "/status/start"}
	refuseAll(t, Options{}, []refusal{
		{"a VMID below 100", nil, post, source, []string{"newid", "99"}, "value must have a minimum value of 100"},
		{"a VMID that is too large", nil, post, source, []string{"newid", "1000000000"}, "value must have a maximum value of 999999999"},
		{"a VMID that is taken", nil, post, source, []string{"newid", "101"}, "unable to create VM 101: config file already exists"},
		{"a name that is no name", nil, post, source, []string{"newid", "102", "name", "VM of mine"}, "value does not look like a valid DNS name"},
		{"a link with a storage", nil, post, source, []string{"newid", "102", "storage", "shared"}, "parameter 'storage' not allowed for linked clones"},
		{"a link with a format", nil, post, source, []string{"newid", "102", "format", "raw"}, "parameter 'format' not allowed for linked clones"},
		{"a link of what runs, and is no template", [][]string{started}, post, vm101 + "/clone", []string{"newid", "102", "full", "0"}, "Linked clone feature is not supported for"},
		{"a storage without disks", nil, post, source, []string{"newid", "102", "full", "1", "storage", "local"}, "storage 'local' does not support vm images"},
		{"a storage that is none", nil, post, source, []string{"newid", "102", "full", "1", "storage", "nope"}, "storage 'nope' does not exist"},
		{"a pool that is none", nil, post, source, []string{"newid", "102", "pool", "nope"}, "pool 'nope' does not exist"},
		{"a snapshot that is none", nil, post, source, []string{"newid", "102", "snapname", "nope"}, "snapshot 'nope' does not exist"},
		{"a node that is none", nil, post, source, []string{"newid", "102", "target", "nope"}, "no such cluster node 'nope'"},
		{"removal of one that runs", [][]string{started}, del, vm101, nil, "VM 101 is running - destroy failed"},
		{"removal of a protected one", [][]string{protected}, del, vm101, nil, "can't remove VM 101 - protection mode enabled"},
		{"removal of a template with links", nil, del, "/nodes/pve1/qemu/9000", nil, "base volume 'shared:9000/base-9000-disk-0.qcow2' is still in use by linked cloned"},
		{"removal of nothing", nil, del, "/nodes/pve1/qemu/999", nil, "does not exist"},
	})
}

// Why a migration failed is told by its log alone.
func TestMigrationsThatAreRefused(t *testing.T) {
	opts := Options{NodeMemoryMiB: 2048, Storages: []Storage{
		{ID: "shared", Type: "nfs", Shared: true, Content: []string{"images"}, GiB: 100},
		{ID: "local-lvm", Type: "lvmthin", Content: []string{"images"}, GiB: 100},
		{ID: "here", Type: "lvmthin", Content: []string{"images"}, Nodes: []string{"pve1"}, GiB: 100},
	}, Templates: []Template{
		{VMID: 9000, Name: "shared", Storage: "shared"}, {VMID: 9001, Name: "local", Storage: "local-lvm"},
	}}
	v := cluster(t, opts)
	v.do("POST", "/nodes/pve1/qemu/9001/clone", "newid", "102")
	v.aborted("can't migrate 'local-lvm:vm-102-disk-0' as it's a clone of", "/nodes/pve1/qemu/102", "target", "pve2")
	v.do("POST", "/nodes/pve1/qemu/9001/clone", "newid", "103", "full", "1")
	v.do("POST", "/nodes/pve1/qemu/103/snapshot", "snapname", "one")
	v.aborted("non-migratable snapshot exists", "/nodes/pve1/qemu/103", "target", "pve2")
	v.do("POST", "/nodes/pve1/qemu/103/status/start")
	v.aborted("online storage migration not possible if non-replicated snapshot exists", "/nodes/pve1/qemu/103", "target", "pve2", "online", "1", "with-local-disks", "1")

	v.clone101()
	v.do("PUT", vm101+"/config", "scsi1", "here:1")
	v.refused("storage 'here' is not available on node 'pve2'", "POST", vm101+"/migrate", "target", "pve2")
	v.do("PUT", vm101+"/config", "delete", "scsi1")
	v.do("PUT", vm101+"/config", "delete", "unused0")
	v.do("POST", "/nodes/pve1/qemu/9000/clone", "newid", "104", "target", "pve2")
	v.do("PUT", "/nodes/pve2/qemu/104/config", "memory", "2000")
	v.do("POST", "/nodes/pve2/qemu/104/status/start")
	v.do("POST", vm101+"/status/start")
	v.aborted("cannot set up guest memory 'pc.ram': Cannot allocate memory", vm101, "target", "pve2", "online", "1")
	if node := v.server.state.guests[101].Node; node != "pve1" {
		t.Errorf("it is on %s", node)
	}
	v.server.mu.Lock()
	v.server.state.node("pve3").Online = false
	v.server.mu.Unlock()
	v.aborted("Can't connect to destination address using public key", vm101, "target", "pve3", "online", "1")
}

// The list of resources has what the nodes told last: a guest that is new has
// neither name nor state.
func TestTheListOfResourcesLags(t *testing.T) {
	v := cluster(t, Options{StatusLag: time.Hour})
	row := func(vmid float64) map[string]any {
		t.Helper()
		for _, r := range v.do("GET", "/cluster/resources", "type", "vm").([]any) {
			if r := r.(map[string]any); r["vmid"] == vmid {
				return r
			}
		}
		t.Fatalf("%v is not listed", vmid)
		return nil
	}
	if r := row(9000); r["name"] != "debian-12" || r["template"] != 1.0 {
		t.Errorf("the template is %v", r)
	}
	v.clone101()
	v.do("PUT", vm101+"/config", "tags", "mine")
	if r := row(101); r["status"] != "unknown" || r["name"] != nil || r["tags"] != "mine" || r["node"] != "pve1" {
		t.Errorf("the new guest is %v", r)
	}
	v.server.mu.Lock()
	v.server.reported = time.Time{}
	v.server.mu.Unlock()
	if r := row(101); r["status"] != "stopped" || r["name"] != "web" {
		t.Errorf("once it is reported it is %v", r)
	}
	v.do("POST", vm101+"/status/start")
	v.do("POST", vm101+"/migrate", "target", "pve2", "online", "1")
	if r := row(101); r["status"] != "stopped" || r["node"] != "pve2" {
		t.Errorf("once it runs elsewhere it is %v", r)
	}
	if now := v.do("GET", "/nodes/pve2/qemu/101/status/current").(map[string]any); now["status"] != "running" {
		t.Errorf("its own state is %v", now)
	}
}
