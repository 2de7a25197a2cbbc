package proxmoxsim

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
)

const configEndpoint = "POST /nodes/{node}/qemu/{vmid}/config"

// getConfig answers the configuration as the next start will have it, or with
// current=1 as it is, or that of a snapshot.
func (c *call) getConfig() (any, error) {
	var out map[string]any
	err := c.edit(func(g *guest) error {
		shown := g.Config.clone()
		if name := c.text("snapshot"); name != "" {
			s := g.snapshot(name)
			if s == nil {
				return failed("snapshot '" + name + "' does not exist")
			}
			shown = s.Config.clone()
		} else if !c.flag("current", false) {
			for _, key := range g.PendingDelete {
				delete(shown, key)
			}
			maps.Copy(shown, g.Pending)
		}
		out = c.server.present(shown)
		out["digest"] = g.digest()
		return nil
	})
	return out, err
}

// present gives a configuration's values the types of the answer.
func (s *Server) present(c config) map[string]any {
	out := make(map[string]any, len(c))
	for key, value := range c {
		out[key] = s.typedValue(key, value)
	}
	return out
}

func (s *Server) typedValue(key, value string) any {
	p, _ := param(s.facts.Endpoints[configEndpoint], key)
	switch {
	case key == "cipassword":
		return "**********"
	case p.Type == "boolean":
		truth, _ := truthOf(value)
		if truth {
			return 1
		}
		return 0
	case p.Type == "integer" || p.Type == "number":
		return json.Number(value)
	}
	return value
}

// getPending lists what holds, what comes and what goes.
func (c *call) getPending() (any, error) {
	rows := []map[string]any{}
	err := c.edit(func(g *guest) error {
		keys := maps.Clone(g.Config)
		maps.Copy(keys, g.Pending)
		for _, key := range keys.keys() {
			row := map[string]any{"key": key}
			if v, ok := g.Config[key]; ok {
				row["value"] = c.server.typedValue(key, v)
			}
			if v, ok := g.Pending[key]; ok {
				row["pending"] = c.server.typedValue(key, v)
			}
			if slices.Contains(g.PendingDelete, key) {
				row["delete"] = 1
			}
			rows = append(rows, row)
		}
		rows = append(rows, map[string]any{"key": "digest", "value": g.digest()})
		return nil
	})
	return rows, err
}

func (c *call) setConfig() (any, error) {
	if err := c.writable(); err != nil {
		return nil, err
	}
	if err := c.namesOptions(); err != nil {
		return nil, err
	}
	if err := c.mayConfigure(); err != nil {
		return nil, err
	}
	if err := c.edit(c.configurable); err != nil {
		return nil, err
	}
	return nil, c.exclusively(c.ctx, c.configure)
}

func (c *call) setConfigLater() (any, error) {
	if err := c.namesOptions(); err != nil {
		return nil, err
	}
	if err := c.mayConfigure(); err != nil {
		return nil, err
	}
	if err := c.edit(c.configurable); err != nil {
		return nil, err
	}
	return c.task("qmconfig", func(w *worker) error {
		if err := w.pause(); err != nil {
			return err
		}
		return c.configure()
	})
}

// configurable refuses a configuration that changed or is locked. The caller
// holds Server.mu.
func (c *call) configurable(g *guest) error {
	if err := c.unchanged(g); err != nil {
		return err
	}
	return g.checkLock()
}

// namesOptions refuses to delete what is no option, or what is set as well.
func (c *call) namesOptions() error {
	for _, key := range slices.Concat(c.list("delete"), c.list("revert")) {
		if _, known := param(c.server.facts.Endpoints[configEndpoint], key); !known && key != "lock" {
			return badParameter("delete", "unknown option '"+key+"'")
		}
		if c.has(key) {
			return badParameter(key, "can't set and delete the same option")
		}
	}
	return nil
}

// configure changes the configuration as the call asks.
func (c *call) configure() error {
	return c.edit(func(g *guest) error {
		if err := c.configurable(g); err != nil {
			return err
		}
		set := config{}
		for name, value := range c.params {
			if !slices.Contains([]string{"digest", "delete", "revert", "force", "skiplock", "background_delay"}, name) {
				set[name] = value
			}
		}
		removed := c.list("delete")
		for _, key := range c.list("revert") {
			g.unpend(key)
		}
		return c.server.change(g, set, removed, c.flag("force", false))
	})
}

// change sets and deletes keys of a guest's configuration: at once where it does
// not run or can take them running, else for its next start. What the guest does
// not let go of waits for that, too, and is refused. The caller holds Server.mu.
func (s *Server) change(g *guest, set config, removed []string, force bool) error {
	if err := s.bootable(g, set, removed); err != nil {
		return err
	}
	prepared, made, err := s.prepare(g, set)
	if err != nil {
		return err
	}
	held := map[string]string{}
	for _, key := range removed {
		if g.holds(key) {
			g.unpend(key)
			g.PendingDelete = append(g.PendingDelete, key)
			held[key] = "hotplug problem - error on hot-unplugging device '" + key + "'"
			continue
		}
		if err := s.remove(g, key, force); err != nil {
			for _, v := range made {
				s.state.dropVolume(v)
			}
			return err
		}
	}
	for _, key := range prepared.keys() {
		s.put(g, key, prepared[key])
	}
	if len(held) > 0 {
		return &apiFailure{status: http.StatusBadRequest, text: "Parameter verification failed.", errors: held}
	}
	return nil
}

func (g *guest) unpend(key string) {
	delete(g.Pending, key)
	g.PendingDelete = slices.DeleteFunc(g.PendingDelete, func(k string) bool { return k == key })
}
