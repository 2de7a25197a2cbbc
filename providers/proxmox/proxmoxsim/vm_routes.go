package proxmoxsim

import "net/http"

const vmPath = "/nodes/{node}/qemu/{vmid}"

// vmRoutes are the endpoints about guests.
func (s *Server) vmRoutes() []endpoint {
	const vm = "/vms/{vmid}"
	get, post, put, del := http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete
	of := func(method, path, privilege string, do func(*call) (any, error)) endpoint {
		return endpoint{method: method, path: vmPath + path, allow: may(vm, privilege), handle: do}
	}
	return []endpoint{
		{method: get, path: "/nodes/{node}/qemu", handle: (*call).listGuests},
		{method: post, path: "/nodes/{node}/qemu", handle: (*call).createGuest},
		of(del, "", "VM.Allocate", (*call).destroy),
		of(post, "/clone", "VM.Clone", (*call).cloneGuest),
		of(post, "/template", "VM.Allocate", (*call).makeTemplate),
		of(get, "/config", "VM.Audit", (*call).getConfig),
		{method: put, path: vmPath + "/config", allow: may(vm, configPrivileges()...), handle: (*call).setConfig},
		{method: post, path: vmPath + "/config", allow: may(vm, configPrivileges()...), handle: (*call).setConfigLater},
		of(get, "/pending", "VM.Audit", (*call).getPending),
		of(put, "/resize", "VM.Config.Disk", (*call).resizeDisk),
		of(put, "/unlink", "VM.Config.Disk", (*call).unlinkDisks),
		of(post, "/move_disk", "VM.Config.Disk", (*call).moveDisk),
		of(get, "/cloudinit", "VM.Audit", (*call).cloudInitPending),
		of(put, "/cloudinit", "VM.Config.Cloudinit", (*call).regenerateCloudInit),
		of(get, "/cloudinit/dump", "VM.Audit", (*call).dumpCloudInit),
		of(get, "/status/current", "VM.Audit", (*call).currentStatus),
		of(post, "/status/start", "VM.PowerMgmt", (*call).start),
		of(post, "/status/stop", "VM.PowerMgmt", (*call).stop),
		of(post, "/status/shutdown", "VM.PowerMgmt", (*call).shutdown),
		of(post, "/status/reboot", "VM.PowerMgmt", (*call).reboot),
		of(post, "/status/reset", "VM.PowerMgmt", (*call).reset),
		of(post, "/status/suspend", "VM.PowerMgmt", (*call).suspend),
		of(post, "/status/resume", "VM.PowerMgmt", (*call).resume),
		of(get, "/snapshot", "VM.Audit", (*call).listSnapshots),
		of(post, "/snapshot", "VM.Snapshot", (*call).takeSnapshot),
		of(del, "/snapshot/{snapname}", "VM.Snapshot", (*call).deleteSnapshot),
		of(get, "/snapshot/{snapname}/config", "VM.Audit", (*call).getSnapshot),
		of(put, "/snapshot/{snapname}/config", "VM.Snapshot", (*call).describeSnapshot),
		{
			method: post, path: vmPath + "/snapshot/{snapname}/rollback",
			allow: may(vm, "VM.Snapshot", "VM.Snapshot.Rollback"), handle: (*call).rollback,
		},
		of(get, "/migrate", "VM.Migrate", (*call).migrationCheck),
		of(post, "/migrate", "VM.Migrate", (*call).migrate),
		of(post, "/vncproxy", "VM.Console", (*call).vncProxy),
		of(post, "/termproxy", "VM.Console", (*call).termProxy),
		of(get, "/vncwebsocket", "VM.Console", (*call).vncWebSocket),
		of(get, "/feature", "VM.Audit", (*call).hasFeature),
		of(get, "/rrddata", "VM.Audit", (*call).rrdData),
		of(post, "/agent/ping", "VM.GuestAgent.Audit", (*call).agentPing),
		of(get, "/agent/network-get-interfaces", "VM.GuestAgent.Audit", (*call).agentInterfaces),
	}
}
