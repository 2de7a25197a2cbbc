package vmid_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/internal/vmid"
)

const (
	id                  = "0198f3a2-6c1e-7b34-9d53-2f0c8e4a71b6"
	kind providers.Kind = "proxmox"
)

func TestAVMIDHasOneSpelling(t *testing.T) {
	t.Parallel()
	require.True(t, vmid.Valid(id))
	for _, other := range []string{"", "x", strings.ToUpper(id), "{" + id + "}", "urn:uuid:" + id, strings.ReplaceAll(id, "-", ""), id + " "} {
		require.False(t, vmid.Valid(other), other)
	}
}

func TestPageTokens(t *testing.T) {
	t.Parallel()
	after, ok := vmid.AfterPage(kind, "")
	require.True(t, ok)
	require.Empty(t, after, "the first page")
	after, ok = vmid.AfterPage(kind, vmid.PageToken(kind, id))
	require.True(t, ok)
	require.Equal(t, id, after)
	for _, token := range []string{
		"nonsense", "!", vmid.PageToken(kind, "x"), vmid.PageToken(kind, id) + "=", vmid.PageToken("vsphere", id),
		base64.RawURLEncoding.EncodeToString([]byte(id)),
	} {
		_, ok := vmid.AfterPage(kind, token)
		require.False(t, ok, token)
	}
}

func FuzzPageToken(f *testing.F) {
	f.Add("")
	f.Add("nonsense")
	f.Add(vmid.PageToken(kind, id))
	f.Fuzz(func(t *testing.T, token string) {
		after, ok := vmid.AfterPage(kind, token)
		if ok && token != "" {
			require.True(t, vmid.Valid(after))
			require.Equal(t, token, vmid.PageToken(kind, after), "one spelling a token")
		}
	})
}
