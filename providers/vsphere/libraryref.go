package vsphere

import (
	"strings"

	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

// An image that is an item of a content library has the ref "library:<library>/<item>",
// or "library:<item ID>". In the names "/" is written "%2f" and "%" is written "%25", as
// in paths of the inventory.

const libraryPrefix = "library:"

// isLibrary reports whether an image is an item of a content library.
func isLibrary(ref string) bool { return strings.HasPrefix(ref, libraryPrefix) }

// libraryRef is the ref of an item.
func libraryRef(library, item string) string {
	escape := strings.NewReplacer("%", "%25", "/", "%2f").Replace
	return libraryPrefix + escape(library) + "/" + escape(item)
}

// parseLibraryRef takes a ref apart: into the names of a library and an item, or into
// an item's ID alone.
func parseLibraryRef(ref string) (library, item, id string, ok bool) {
	rest, ok := strings.CutPrefix(ref, libraryPrefix)
	if !ok || rest == "" || !isText(rest) {
		return "", "", "", false
	}
	library, item, named := strings.Cut(rest, "/")
	if !named {
		return "", "", rest, vmid.Valid(strings.ToLower(rest))
	}
	if library == "" || item == "" || strings.Contains(item, "/") {
		return "", "", "", false
	}
	unescape := strings.NewReplacer("%2f", "/", "%2F", "/", "%25", "%").Replace
	return unescape(library), unescape(item), "", true
}
