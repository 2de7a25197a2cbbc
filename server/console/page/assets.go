package page

import (
	"embed"
	"encoding/json"
	"io/fs"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// assetsPath is where the files of the build are served.
const assetsPath = "/console/assets"

// manifestFile is the last file that a build writes.
const manifestFile = "manifest.json"

// dist holds at least a placeholder.
//
//go:embed all:dist
var dist embed.FS

// Embedded is what was built when the program was.
func Embedded() (fs.FS, error) { return fs.Sub(dist, "dist") }

// Built says whether the pages are there as a whole.
func Built(assets fs.FS) bool { return readManifest(assets) != nil }

// manifest tells the file that stands for a name. The file's own name bears a
// hash of its content.
type manifest map[string]string

// readManifest returns nil where the pages are not built, or not yet.
func readManifest(assets fs.FS) manifest {
	raw, err := fs.ReadFile(assets, manifestFile)
	if err != nil {
		return nil
	}
	var m manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil
	}
	for _, name := range []string{"vnc.js", "serial.js", "console.css", "terminal.css", "icon.svg", "LICENSES.txt"} {
		if m[name] == "" {
			return nil
		}
	}
	return m
}

// Assets serves the files of the build below /console/assets/, and 404 for all
// else.
func (p *Pages) Assets() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := p.Asset(strings.TrimPrefix(r.URL.Path, assetsPath+"/"))
		if h == nil {
			http.NotFound(w, r)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// Asset serves one file of the build; nil for a file that is not of it. A file
// never changes under its name, so browsers keep it.
func (p *Pages) Asset(name string) http.Handler {
	listed := false
	for _, file := range readManifest(p.assets) {
		listed = listed || file == name
	}
	if !listed || strings.ContainsAny(name, `/\`) {
		return nil
	}
	body, err := fs.ReadFile(p.assets, name)
	if err != nil {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
		h.Set("Content-Length", strconv.Itoa(len(body)))
		h.Set("Content-Type", contentType(name))
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		if _, err := w.Write(body); err != nil { //nolint:gosec // a file of the build, with its type and nosniff
			return // the client has gone
		}
	})
}

// contentType knows the kinds of files that a build has.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".css":
		return "text/css; charset=utf-8"
	case ".svg":
		return "image/svg+xml"
	case ".txt":
		return "text/plain; charset=utf-8"
	default:
		return "application/octet-stream"
	}
}
