// Package vmid reads VM IDs, and the page tokens of lists in their order.
package vmid

import (
	"encoding/base64"
	"strings"

	"github.com/google/uuid"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// Valid reports whether a VM ID is a UUID in the one spelling that counts.
func Valid(vmID string) bool {
	u, err := uuid.Parse(vmID)
	return err == nil && u.String() == vmID
}

// PageToken is the token of the page of a list that begins after a VM ID.
func PageToken(kind providers.Kind, vmID string) string {
	return base64.RawURLEncoding.EncodeToString([]byte(string(kind) + "-after-" + vmID))
}

// AfterPage returns the VM ID after which the page begins, empty for the first one. A
// token of another kind of provider, or of somebody else, is not ok.
func AfterPage(kind providers.Kind, token string) (after string, ok bool) {
	if token == "" {
		return "", true
	}
	b, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		return "", false
	}
	id, ok := strings.CutPrefix(string(b), string(kind)+"-after-")
	return id, ok && Valid(id) && PageToken(kind, id) == token
}
