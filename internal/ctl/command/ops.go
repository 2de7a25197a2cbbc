package command

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"

	"github.com/hypervisor-control-plane/hcp/client"
	"github.com/hypervisor-control-plane/hcp/internal/ctl/output"
)

func (a *App) opsCommand() *cobra.Command {
	cmd := group("ops", "Operators' commands: what tenants do not see",
		a.opsProviderCommand(), a.opsClusterCommand(), a.opsNodeCommand(),
		a.opsZoneCommand(), a.opsFlavorCommand(), a.opsImageCommand(), a.opsNetworkCommand(), a.opsSubnetCommand(), a.opsAddressCommand(),
		a.opsTenantCommand(), a.opsProjectCommand(), a.opsQuotaCommand(), a.opsRoleCommand(), a.opsRoleBindingCommand(), a.opsExplain(),
		a.opsVMCommand(), a.opsJobCommand(),
	)
	cmd.Long = "Operators' commands: what tenants do not see. They need a context of the ops plane."
	return cmd
}

// kept is a noun of the operators that is listed, read, made, changed and
// deleted in the same way as the others.
type kept struct {
	noun, plural, suffix string // "zone", "zones", "Zone" as in opsGetZone
	resource             output.Resource
	example              [2]string // flags of create and update
	create, update       func(*fields)
	list                 builder
	get, remove          func(c *call, id string) (*http.Request, error)
	post, patch          builder
	gone                 string // the consequence of a delete
}

func (k kept) ref() ref { return ref{noun: k.noun, list: k.list} }

func (a *App) keptCommand(k kept) *cobra.Command {
	refs := []ref{k.ref()}
	arg := upper(k.noun)
	return group(k.noun, title(k.plural),
		a.listing(spec{
			ops: "opsList" + k.suffix + "s", use: "list", aliases: []string{"ls"}, short: "List the " + k.plural, example: "  hcpctl ops " + k.noun + " list",
			filters: catalogSort, resource: k.resource, request: k.list,
		}),
		a.reading(spec{
			ops: "opsGet" + k.suffix, use: "get " + arg, short: "Show a " + k.noun, refs: refs, example: "  hcpctl ops " + k.noun + " get example", resource: k.resource,
			request: func(c *call) (*http.Request, error) { return k.get(c, c.ids[0]) },
		}),
		a.changing(spec{
			ops: "opsCreate" + k.suffix, use: "create NAME", short: "Make a " + k.noun, named: "name", fields: k.create, resource: k.resource,
			example: "  hcpctl ops " + k.noun + " create " + k.example[0], request: k.post,
		}),
		a.changing(spec{
			ops: "opsUpdate" + k.suffix, etag: true, use: "update " + arg, short: "Change a " + k.noun, refs: refs, fields: k.update, resource: k.resource,
			example: "  hcpctl ops " + k.noun + " update example " + k.example[1], request: k.patch,
		}),
		a.changing(spec{
			ops: "opsDelete" + k.suffix, etag: true, use: "delete " + arg, aliases: []string{"rm"}, short: "Delete a " + k.noun, refs: refs, resource: k.resource, past: "deleted",
			example: "  hcpctl ops " + k.noun + " delete example --yes",
			ask: func(c *call) string {
				return fmt.Sprintf("Delete %s %s (%s)? %s", k.noun, c.args[0], c.ids[0], k.gone)
			},
			request: func(c *call) (*http.Request, error) { return k.remove(c, c.ids[0]) },
		}))
}

func upper(noun string) string { return strings.ToUpper(noun) }

// title begins a sentence.
func title(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func nameField(f *fields) { f.text("name", "name", "name") }

func idField(f *fields) {
	f.text("id", "id", "ID of your choice; one is made without it")
}

func (a *App) opsTenantCommand() *cobra.Command {
	return a.keptCommand(kept{
		noun: "tenant", plural: "tenants", suffix: "Tenant",
		resource: output.Resource{Kind: "tenant", Columns: []output.Column{{Header: "id", Path: "id"}, {Header: "name", Path: "name"}, {Header: "age", Path: "created_at", Age: true}}},
		example:  [2]string{`"Example Ltd" --id example`, `--name "Example GmbH"`},
		create:   func(f *fields) { idField(f); nameField(f) }, update: nameField,
		gone: "It must have no projects left; this cannot be undone.",
		list: func(c *call) (*http.Request, error) { return client.NewOpsListTenantsRequest(c.server, nil) },
		get: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsGetTenantRequest(c.server, id, nil)
		},
		remove: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsDeleteTenantRequest(c.server, id, nil)
		},
		post: bodied(func(c *call, b client.CreateTenantRequest) (*http.Request, error) {
			return client.NewOpsCreateTenantRequest(c.server, nil, b)
		}),
		patch: bodied(func(c *call, b client.UpdateTenantRequest) (*http.Request, error) {
			return client.NewOpsUpdateTenantRequest(c.server, c.ids[0], nil, b)
		}),
	})
}

func (a *App) opsProjectCommand() *cobra.Command {
	return a.keptCommand(kept{
		noun: "project", plural: "projects of every tenant", suffix: "Project", resource: projectResource(),
		example: [2]string{`"Web shop" --tenant-id example`, `--name "Web shop 2"`},
		create: func(f *fields) {
			idField(f)
			nameField(f)
			f.text("tenant-id", "tenant_id", "ID of the tenant")
		}, update: nameField,
		gone: "It must have no VMs left; this cannot be undone.",
		list: func(c *call) (*http.Request, error) { return client.NewOpsListProjectsRequest(c.server, nil) },
		get: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsGetProjectRequest(c.server, id, nil)
		},
		remove: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsDeleteProjectRequest(c.server, id, nil)
		},
		post: bodied(func(c *call, b client.CreateProjectRequest) (*http.Request, error) {
			return client.NewOpsCreateProjectRequest(c.server, nil, b)
		}),
		patch: bodied(func(c *call, b client.UpdateProjectRequest) (*http.Request, error) {
			return client.NewOpsUpdateProjectRequest(c.server, c.ids[0], nil, b)
		}),
	})
}

func (a *App) opsZoneCommand() *cobra.Command {
	body := func(f *fields) {
		nameField(f)
		f.text("location", "location", "where it is")
		f.text("description", "description", "what it is for")
	}
	return a.keptCommand(kept{
		noun: "zone", plural: "zones", suffix: "Zone", resource: zoneResource(),
		example: [2]string{`"Zone 2" --id zone-2 --location Berlin`, `--location Hamburg`},
		create:  func(f *fields) { idField(f); body(f) }, update: body,
		gone: "Nothing may use it any more; this cannot be undone.",
		list: func(c *call) (*http.Request, error) { return client.NewOpsListZonesRequest(c.server, nil) },
		get:  func(c *call, id string) (*http.Request, error) { return client.NewOpsGetZoneRequest(c.server, id, nil) },
		remove: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsDeleteZoneRequest(c.server, id, nil)
		},
		post: bodied(func(c *call, b client.CreateZoneRequest) (*http.Request, error) {
			return client.NewOpsCreateZoneRequest(c.server, nil, b)
		}),
		patch: bodied(func(c *call, b client.UpdateZoneRequest) (*http.Request, error) {
			return client.NewOpsUpdateZoneRequest(c.server, c.ids[0], nil, b)
		}),
	})
}

func (a *App) opsFlavorCommand() *cobra.Command {
	return a.keptCommand(kept{
		noun: "flavor", plural: "flavors", suffix: "Flavor", resource: flavorResource(),
		example: [2]string{`Large --id large --vcpus 8 --memory-mib 16384 --disk-gib 80`, `--name "Large 2"`},
		create: func(f *fields) {
			idField(f)
			nameField(f)
			f.number("vcpus", "vcpus", "vCPUs")
			f.number("memory-mib", "memory_mib", "memory in MiB")
			f.number("disk-gib", "disk_gib", "root disk in GiB")
		}, update: nameField,
		gone: "VMs made with it stay as they are; this cannot be undone.",
		list: func(c *call) (*http.Request, error) { return client.NewOpsListFlavorsRequest(c.server, nil) },
		get: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsGetFlavorRequest(c.server, id, nil)
		},
		remove: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsDeleteFlavorRequest(c.server, id, nil)
		},
		post: bodied(func(c *call, b client.CreateFlavorRequest) (*http.Request, error) {
			return client.NewOpsCreateFlavorRequest(c.server, nil, b)
		}),
		patch: bodied(func(c *call, b client.UpdateFlavorRequest) (*http.Request, error) {
			return client.NewOpsUpdateFlavorRequest(c.server, c.ids[0], nil, b)
		}),
	})
}

func (a *App) opsImageCommand() *cobra.Command {
	body := func(f *fields) {
		nameField(f)
		f.text("description", "description", "what is in it")
		f.text("os-type", "os_type", "linux, windows or other")
		f.number("min-disk-gib", "min_disk_gib", "smallest root disk in GiB")
		f.records("binding", "bindings", "where it lies: PROVIDER,ref=NAME[,cluster=ID][,format=qcow2|raw][,clone_mode=linked|full]", "provider_id", "ref", "cluster_id", "format", "clone_mode")
	}
	return a.keptCommand(kept{
		noun: "image", plural: "images, with where they lie", suffix: "Image", resource: imageResource(),
		example: [2]string{`"Debian 13" --id debian-13 --binding kvm-1,ref=debian-13.qcow2,format=qcow2`, `--min-disk-gib 10`},
		create:  func(f *fields) { idField(f); body(f) }, update: body,
		gone: "VMs made from it stay; this cannot be undone.",
		list: func(c *call) (*http.Request, error) { return client.NewOpsListImagesRequest(c.server, nil) },
		get: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsGetImageRequest(c.server, id, nil)
		},
		remove: func(c *call, id string) (*http.Request, error) {
			return client.NewOpsDeleteImageRequest(c.server, id, nil)
		},
		post: bodied(func(c *call, b client.CreateImageRequest) (*http.Request, error) {
			return client.NewOpsCreateImageRequest(c.server, nil, b)
		}),
		patch: bodied(func(c *call, b client.UpdateImageRequest) (*http.Request, error) {
			return client.NewOpsUpdateImageRequest(c.server, c.ids[0], nil, b)
		}),
	})
}
