package vsphere

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/vmware/govmomi/vim25/types"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// What the adapter asks for was there in version 7.0 of the API. Before it, a server
// could take a request and leave out of it what it does not know.
const (
	oldestMajor = 7
	oldestAPI   = "7.0"
)

// supported is FailedPrecondition for a server that is too old, or that does not say
// how old it is. Newer ones serve what older ones do.
func supported(about types.AboutInfo) error {
	major, _, _ := strings.Cut(about.ApiVersion, ".")
	if n, err := strconv.Atoi(major); err == nil && n >= oldestMajor {
		return nil
	}
	return fail("Login", providers.FailedPrecondition,
		fmt.Errorf("%s has version %q of the API, and %s is the oldest that is supported", about.FullName, about.ApiVersion, oldestAPI),
		"the hypervisor is too old")
}
