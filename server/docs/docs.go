// Package docs is the reference page of the API at /docs: Swagger UI and the
// API's description. It is built from npm packages by `task web` and never
// committed; without it the program builds too and says what is missing.
//
// It imports nothing of ours.
package docs

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strconv"
	"strings"
)

// dist holds at least a placeholder.
//
//go:embed all:dist
var dist embed.FS

// Embedded is what was built when the program was.
func Embedded() (fs.FS, error) { return fs.Sub(dist, "dist") }

// Built says whether the page is there as a whole.
func Built(assets fs.FS) bool {
	_, err := fs.Stat(assets, indexPage)
	return err == nil
}

const indexPage = "index.html"

// pagePolicy lets the page run its own files alone and speak to this server
// alone. The package brings its pictures as data.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Page serves the page itself.
func Page(assets fs.FS) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", pagePolicy)
		page, err := fs.ReadFile(assets, indexPage)
		if err != nil {
			page = []byte(missing)
		}
		send(w, r, indexPage, page)
	})
}

// missing stands for the page where it was not built.
const missing = `<!doctype html>
<html lang="en">
  <head><meta charset="utf-8"><title>Hypervisor Control Plane API</title></head>
  <body>
    <h1>The reference page is not built</h1>
    <p>In a checkout, with Node.js and npm: <code>go tool -modfile=tools/go.mod task web</code>, then build the program again.</p>
    <p>The description itself is <a href="/docs/openapi.json">openapi.json</a>.</p>
  </body>
</html>
`

// Asset serves one file of the page, of which there are no folders; nil for a
// file that is not there.
func Asset(assets fs.FS, name string) http.Handler {
	if strings.HasPrefix(name, ".") || strings.ContainsAny(name, `/\`) || !fs.ValidPath(name) {
		return nil
	}
	body, err := fs.ReadFile(assets, name)
	if err != nil {
		return nil
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { send(w, r, name, body) })
}

// Document serves the API's description.
func Document(body []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { send(w, r, "openapi.json", body) })
}

// send answers with a file, or with 304 where the browser has it.
func send(w http.ResponseWriter, r *http.Request, name string, body []byte) {
	sum := sha256.Sum256(body)
	tag := `"` + hex.EncodeToString(sum[:8]) + `"`
	h := w.Header()
	h.Set("ETag", tag)
	h.Set("Cache-Control", "no-cache")
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h.Set("Content-Type", contentType(name))
	h.Set("Content-Length", strconv.Itoa(len(body)))
	if _, err := w.Write(body); err != nil {
		return // the client has gone
	}
}

// contentType does not look into the file, and for what is expected here not
// into the system's tables.
func contentType(name string) string {
	switch ext := path.Ext(name); ext {
	case ".html", ".css":
		return "text/" + ext[1:] + "; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".json":
		return "application/json"
	case ".txt", "":
		return "text/plain; charset=utf-8"
	default:
		if t := mime.TypeByExtension(ext); t != "" {
			return t
		}
		return "application/octet-stream"
	}
}
