package proxmoxsim

import (
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"
)

const contentSnippets = "snippets"

const fileNameCharacters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"

func (s *Server) storageRoutes() []endpoint {
	see := may("/storage/{storage}", "Datastore.Audit", "Datastore.AllocateSpace")
	const content = "/nodes/{node}/storage/{storage}/content"
	return []endpoint{
		{method: http.MethodGet, path: "/storage", handle: s.storageConfig},
		{method: http.MethodGet, path: "/nodes/{node}/storage", handle: s.nodeStorages},
		{method: http.MethodGet, path: "/nodes/{node}/storage/{storage}/status", allow: see, handle: s.storageStatus},
		{method: http.MethodGet, path: content, allow: see, handle: s.contentList},
		{method: http.MethodGet, path: content + "/{volume}", allow: see, handle: s.volumeInfo},
		{method: http.MethodDelete, path: content + "/{volume}", allow: may("/storage/{storage}", "Datastore.Allocate"), handle: s.deleteVolume},
		{
			method: http.MethodPost, path: "/nodes/{node}/storage/{storage}/upload",
			allow: may("/storage/{storage}", "Datastore.AllocateTemplate"), handle: s.upload,
		},
	}
}

func (st *state) storageIDs() []string { return slices.Sorted(maps.Keys(st.storages)) }

func (st *state) sees(who identity, id string) bool {
	return st.permits(who, "/storage/"+id, "Datastore.Audit") || st.permits(who, "/storage/"+id, "Datastore.AllocateSpace")
}

// reads reports whether a caller may read a volume: what is not shown to them is
// not in a storage's list either.
func (st *state) reads(who identity, v *volume) bool {
	at := "/storage/" + v.Storage
	switch {
	case st.permits(who, at, "Datastore.Allocate"):
		return true
	case v.Content == "iso" || v.Content == "vztmpl":
		return st.sees(who, v.Storage)
	case v.Content == "images" && v.VMID != 0:
		return st.permits(who, at, "Datastore.Audit") && st.permits(who, "/vms/"+strconv.Itoa(v.VMID), "VM.Config.Disk")
	}
	return false
}

func (s *Server) storageRows(c *call) []map[string]any {
	out := []map[string]any{}
	for _, id := range s.state.storageIDs() {
		store := s.state.storages[id]
		for _, n := range s.state.nodes {
			if !store.on(n.Name) || !s.state.permits(c.who, "/storage/"+id, "Datastore.Audit") {
				continue
			}
			row := map[string]any{
				"id": "storage/" + n.Name + "/" + id, "type": "storage", "storage": id, "node": n.Name, "plugintype": store.Type,
				"content": strings.Join(store.Content, ","), "shared": flagOf(store.Shared), "status": "unknown",
			}
			if n.Online {
				row["status"], row["disk"], row["maxdisk"] = "available", s.state.used(store, n.Name), store.Total
			}
			out = append(out, row)
		}
	}
	return out
}

func (s *Server) storageConfig(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []map[string]any{}
	for _, id := range s.state.storageIDs() {
		store := s.state.storages[id]
		if !s.state.sees(c.who, id) || c.text("type") != "" && c.text("type") != store.Type {
			continue
		}
		row := map[string]any{"storage": id, "type": store.Type, "content": strings.Join(store.Content, ",")}
		if store.Shared {
			row["shared"] = 1
		}
		if len(store.Nodes) > 0 {
			row["nodes"] = strings.Join(store.Nodes, ",")
		}
		out = append(out, row)
	}
	return out, nil
}

func (s *Server) nodeStorages(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []map[string]any{}
	for _, id := range s.state.storageIDs() {
		store := s.state.storages[id]
		wanted := c.list("content")
		if !s.state.sees(c.who, id) || !store.on(c.node) || c.text("storage") != "" && c.text("storage") != id ||
			len(wanted) > 0 && !slices.ContainsFunc(wanted, store.holds) {
			continue
		}
		out = append(out, s.storageRow(store, c.node))
	}
	return out, nil
}

func (s *Server) storageRow(store *storage, node string) map[string]any {
	used := s.state.used(store, node)
	return map[string]any{
		"storage": store.ID, "type": store.Type, "content": strings.Join(store.Content, ","), "shared": flagOf(store.Shared),
		"active": 1, "enabled": 1, "total": store.Total, "used": used, "avail": max(0, store.Total-used),
		"used_fraction": float64(used) / float64(max(1, store.Total)),
	}
}

// storageOf finds the storage of the path. The caller holds Server.mu.
func (c *call) storageOf() (*storage, error) {
	return c.server.state.storageOn(c.vars["storage"], c.node)
}

// storageOn finds a storage that is there on a node, in the real words.
func (st *state) storageOn(id, node string) (*storage, error) {
	store := st.storages[id]
	switch {
	case store == nil:
		return nil, failed("storage '" + id + "' does not exist")
	case store.Disabled:
		return nil, failed("storage '" + id + "' is disabled")
	case !store.on(node):
		return nil, failed("storage '" + id + "' is not available on node '" + node + "'")
	}
	return store, nil
}

func (s *Server) storageStatus(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	store, err := c.storageOf()
	if err != nil {
		return nil, err
	}
	return s.storageRow(store, c.node), nil
}

func (s *Server) contentList(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	store, err := c.storageOf()
	if err != nil {
		return nil, err
	}
	vmid, byVM := c.number("vmid")
	out := []map[string]any{}
	for _, key := range slices.Sorted(maps.Keys(s.state.volumes)) {
		v := s.state.volumes[key]
		if v.Storage != store.ID || v.Node != "" && v.Node != c.node || byVM && v.VMID != vmid ||
			c.text("content") != "" && c.text("content") != v.Content {
			continue
		}
		if !s.state.reads(c.who, v) {
			continue
		}
		out = append(out, volumeRow(v))
	}
	return out, nil
}

func volumeRow(v *volume) map[string]any {
	row := map[string]any{
		"volid": v.id(), "format": v.Format, "size": v.Size, "used": v.Size, "content": v.Content, "ctime": v.Created.Unix(),
	}
	if v.VMID != 0 {
		row["vmid"] = v.VMID
	}
	if v.Base != "" {
		row["parent"] = v.Base
	}
	return row
}

// volid is the volume of the path, with its storage or without.
func (c *call) volid() string {
	id := c.vars["volume"]
	if !strings.HasPrefix(id, c.vars["storage"]+":") {
		id = c.vars["storage"] + ":" + id
	}
	return id
}

func (s *Server) volumeInfo(c *call) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := c.storageOf(); err != nil {
		return nil, err
	}
	v := s.state.volume(c.node, c.volid())
	if v == nil {
		return nil, failed("volume '" + c.volid() + "' does not exist")
	}
	return map[string]any{"path": "/dev/simulated/" + v.Name, "size": v.Size, "used": v.Size, "format": v.Format}, nil
}

func (s *Server) deleteVolume(c *call) (any, error) {
	s.mu.Lock()
	_, err := c.storageOf()
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	id := c.volid()
	upid := s.spawn(c, "imgdel", idOf(c.vars["storage"]), func(w *worker) error {
		if err := w.pause(); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		v := s.state.volume(c.node, id)
		if v == nil {
			return failed("volume '" + id + "' does not exist")
		}
		if s.state.isBase(v) {
			return failed("base volume '" + id + "' is still in use by linked cloned")
		}
		s.state.dropVolume(v)
		return nil
	})
	return upid, nil
}

// idOf writes what an UPID must not hold as it is there.
func idOf(text string) string { return strings.ReplaceAll(text, ":", "\\x3a") }

// isBase reports whether linked clones stand on a volume.
func (st *state) isBase(v *volume) bool {
	for _, other := range st.volumes {
		if other.Base == v.id() && (v.Node == "" || other.Node == v.Node) {
			return true
		}
	}
	return false
}

// upload takes a file. A release after Version takes snippets too.
func (s *Server) upload(c *call) (any, error) {
	name, content := path.Base(c.text("filename")), c.text("content")
	if strings.Trim(name, fileNameCharacters) != "" {
		return nil, badParameter("filename", "illegal characters in filename")
	}
	file, _, err := c.r.FormFile("filename")
	if err != nil {
		return nil, badParameter("filename", "missing filename")
	}
	data, err := io.ReadAll(file)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	store, err := c.storageOf()
	if err != nil {
		return nil, err
	}
	if !store.holds(content) {
		return nil, badParameter("storage", "storage '"+store.ID+"' is not configured for content-type '"+content+"'")
	}
	v := &volume{
		Storage: store.ID, Node: c.node, Name: content + "/" + name, Size: int64(len(data)), Format: strings.TrimSuffix(content, "s"),
		Content: content, Created: now(), Data: string(data),
	}
	if store.Shared {
		v.Node = ""
	}
	upid := s.spawnLocked(c, "imgcopy", "", func(w *worker) error {
		if err := w.pause(); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		s.state.putVolume(v)
		return nil
	})
	return upid, nil
}
