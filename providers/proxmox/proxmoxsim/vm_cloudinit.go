package proxmoxsim

import (
	"maps"
	"net/url"
	"slices"
	"strings"
)

// cloudInitKey reports whether a key is handed to the guest by the cloud-init
// drive.
func cloudInitKey(key string) bool {
	return numbered(key, "ipconfig") ||
		slices.Contains([]string{"ciuser", "cipassword", "citype", "ciupgrade", "cicustom", "sshkeys", "nameserver", "searchdomain"}, key)
}

// cloudInitPending lists what the guest was told and what it will be.
func (c *call) cloudInitPending() (any, error) {
	rows := []map[string]any{}
	err := c.edit(func(g *guest) error {
		keys := maps.Clone(g.Config)
		maps.Copy(keys, g.Pending)
		for _, key := range keys.keys() {
			if !cloudInitKey(key) {
				continue
			}
			row := map[string]any{"key": key}
			if old, ok := g.Config[key]; ok {
				row["old"] = c.server.typedValue(key, old)
			}
			if v, ok := g.Pending[key]; ok {
				row["new"] = c.server.typedValue(key, v)
			}
			if slices.Contains(g.PendingDelete, key) {
				row["delete"] = 1
			}
			rows = append(rows, row)
		}
		return nil
	})
	return rows, err
}

// regenerateCloudInit writes the drive anew with what is pending for it.
func (c *call) regenerateCloudInit() (any, error) {
	if err := c.writable(); err != nil {
		return nil, err
	}
	return nil, c.exclusively(c.ctx, func() error {
		return c.edit(func(g *guest) error {
			if err := g.checkLock(); err != nil {
				return err
			}
			for key, value := range maps.Clone(g.Pending) {
				if cloudInitKey(key) {
					g.Config[key] = value
					g.unpend(key)
				}
			}
			for _, key := range slices.Clone(g.PendingDelete) {
				if cloudInitKey(key) {
					delete(g.Config, key)
					g.unpend(key)
				}
			}
			return nil
		})
	})
}

// dumpCloudInit answers the text of a part of the cloud-init drive.
func (c *call) dumpCloudInit() (any, error) {
	var out string
	err := c.edit(func(g *guest) error {
		has := false
		for _, key := range g.Config.drives() {
			has = has || parseDrive(g.Config[key]).cloudInit()
		}
		if !has {
			return failed("no cloud-init drive")
		}
		out = c.cloudInitText(g, c.text("type"))
		return nil
	})
	return out, err
}

func (c *call) cloudInitText(g *guest, part string) string {
	custom := c.server.facts.properties("cicustom", g.Config["cicustom"])
	if v := c.server.state.volume(g.Node, custom[part]); v != nil {
		return v.Data
	}
	var b strings.Builder
	switch part {
	case "user":
		b.WriteString("#cloud-config\nhostname: " + g.Config["name"] + "\nmanage_etc_hosts: true\n")
		if user := g.Config["ciuser"]; user != "" {
			b.WriteString("user: " + user + "\n")
		}
		if keys, err := url.PathUnescape(g.Config["sshkeys"]); err == nil && keys != "" {
			b.WriteString("ssh_authorized_keys:\n")
			for key := range strings.SplitSeq(strings.TrimSpace(keys), "\n") {
				b.WriteString("  - " + key + "\n")
			}
		}
	case "network":
		b.WriteString("version: 1\nconfig:\n")
		for _, key := range g.Config.keys() {
			if numbered(key, "ipconfig") {
				b.WriteString("    # " + key + ": " + g.Config[key] + "\n")
			}
		}
	default:
		b.WriteString("instance-id: " + g.Config["vmgenid"] + "\n")
	}
	return b.String()
}
