package vsphere

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/vsphere/vspheresim"
)

// TestAPIErrorsAreToldByTheirType has the REST API answer with each of its errors.
func TestAPIErrorsAreToldByTheirType(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	for _, c := range []struct {
		status int
		kind   string
		want   providers.Code
	}{
		{http.StatusUnauthorized, "unauthenticated", providers.Unauthenticated},
		{http.StatusUnauthorized, "", providers.Unauthenticated},
		{http.StatusForbidden, "unauthorized", providers.PermissionDenied},
		{http.StatusForbidden, "", providers.PermissionDenied},
		{http.StatusNotFound, "not_found", providers.NotFound},
		{http.StatusNotFound, "operation_not_found", providers.Unimplemented},
		{http.StatusNotFound, "", providers.Unknown},
		{http.StatusBadRequest, "invalid_argument", providers.InvalidArgument},
		{http.StatusBadRequest, "already_exists", providers.AlreadyExists},
		{http.StatusBadRequest, "not_allowed_in_current_state", providers.FailedPrecondition},
		{http.StatusBadRequest, "resource_busy", providers.Aborted},
		{http.StatusBadRequest, "resource_in_use", providers.Aborted},
		{http.StatusBadRequest, "concurrent_change", providers.Aborted},
		{http.StatusBadRequest, "unable_to_allocate_resource", providers.ResourceExhausted},
		{http.StatusBadRequest, "resource_inaccessible", providers.Unavailable},
		{http.StatusBadRequest, "unsupported", providers.Unimplemented},
		{http.StatusBadRequest, "a_type_of_another_day", providers.Unknown},
		{http.StatusInternalServerError, "internal_server_error", providers.Unknown},
		{http.StatusInternalServerError, "error", providers.Unknown},
		{http.StatusInternalServerError, "", providers.Unknown},
		{http.StatusServiceUnavailable, "service_unavailable", providers.Unavailable},
		{http.StatusServiceUnavailable, "", providers.Unavailable},
		{http.StatusGatewayTimeout, "timed_out", providers.DeadlineExceeded},
		{http.StatusGatewayTimeout, "", providers.DeadlineExceeded},
		{http.StatusTooManyRequests, "", providers.Throttled},
	} {
		one := openWith(t, testConfig(s, nil))
		s.RefuseREST("GET library", 100, vspheresim.APIError{Status: c.status, Kind: c.kind})
		_, err := one.libraryNames(t.Context(), "Test")
		wantCode(t, c.kind+" "+http.StatusText(c.status), err, c.want)
	}
	s.RefuseREST("GET library", 0, vspheresim.APIError{})
	names, err := p.libraryNames(t.Context(), "Test")
	require.Nil(t, err)
	require.Len(t, names, 1)
}

// TestLibrariesThatMayNotBeReadAreNone lets an account without them see the templates.
func TestLibrariesThatMayNotBeReadAreNone(t *testing.T) {
	t.Parallel()
	s, p, _ := libraryPeer(t)
	s.RefuseREST("GET library", 100, vspheresim.APIError{Status: http.StatusForbidden, Kind: "unauthorized"})
	images, err := p.ListImages(t.Context())
	require.NoError(t, err)
	for _, image := range images {
		require.False(t, isLibrary(image.Ref))
	}
	s.RefuseREST("GET library", 100, vspheresim.APIError{Status: http.StatusServiceUnavailable, Kind: "service_unavailable"})
	_, err = p.ListImages(t.Context())
	wantCode(t, "a library that does not answer", err, providers.Unavailable)
}

// TestRESTSessionEndsMidway ends the REST session under twenty callers: they share one
// login, and none of them notices.
func TestRESTSessionEndsMidway(t *testing.T) {
	t.Parallel()
	s, p, ids := libraryPeer(t)
	read := func() {
		if _, err := p.itemByID(t.Context(), "Test", ids["ovf"]); err != nil {
			t.Errorf("item: %v", err)
		}
	}
	read()
	s.EndRESTSessions()
	s.Forget()
	var group sync.WaitGroup
	for range 20 {
		group.Go(read)
	}
	group.Wait()
	require.Equal(t, 1, s.Count("POST session"))
	require.Zero(t, s.Count("Login"))
	require.NoError(t, p.Close())
	require.Equal(t, 1, s.Count("DELETE session"))
	require.Zero(t, s.RESTSessions())
	_, err := p.itemByID(t.Context(), "Test", ids["ovf"])
	wantCode(t, "after close", err, providers.Unavailable)
}

// TestRESTRefusalsAreNoStorm has a wrong password refused once for both APIs, and a
// REST API that refuses every new session.
func TestRESTRefusalsAreNoStorm(t *testing.T) {
	t.Parallel()
	s, _, ids := libraryPeer(t)
	cfg := testConfig(s, map[string]string{optCoolDown: "1h"})
	wrong := cfg
	wrong.Credentials.Password = "not-the-password"
	s.Forget()
	p := openWith(t, wrong)
	for range 5 {
		_, err := p.itemByID(t.Context(), "Test", ids["ovf"])
		wantCode(t, "a wrong password", err, providers.Unauthenticated)
		require.NotContains(t, err.Error(), wrong.Credentials.Password)
	}
	require.Equal(t, 1, s.Count("Login"))
	require.Zero(t, s.Count("POST session"))

	p = openWith(t, cfg)
	s.RefuseREST("POST session", 100, vspheresim.APIError{Status: http.StatusUnauthorized, Kind: "unauthenticated"})
	for range 5 {
		_, err := p.itemByID(t.Context(), "Test", ids["ovf"])
		wantCode(t, "a login that is refused", err, providers.Unauthenticated)
	}
	require.Equal(t, 1, s.Count("POST session"))

	p = openWith(t, cfg)
	s.RefuseREST("POST session", 0, vspheresim.APIError{})
	s.RefuseREST("GET item", 100, vspheresim.APIError{Status: http.StatusUnauthorized, Kind: "unauthenticated"})
	s.Forget()
	for range 5 {
		_, err := p.itemByID(t.Context(), "Test", ids["ovf"])
		wantCode(t, "a new session that is refused", err, providers.Unauthenticated)
	}
	require.LessOrEqual(t, s.Count("POST session"), 2)
}

// TestImportsFailAsTheyAreTold has deployments be refused: what can be tried again is
// tried a few times, the rest at once.
func TestImportsFailAsTheyAreTold(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		with  vspheresim.APIError
		want  providers.Code
		calls int
	}{
		{vspheresim.APIError{Status: http.StatusForbidden, Kind: "unauthorized"}, providers.PermissionDenied, 1},
		{vspheresim.APIError{Status: http.StatusNotFound, Kind: "not_found"}, providers.NotFound, 1},
		{vspheresim.APIError{Status: http.StatusBadRequest, Kind: "unable_to_allocate_resource"}, providers.ResourceExhausted, 1},
		{vspheresim.APIError{Status: http.StatusBadRequest, Kind: "resource_busy"}, providers.Aborted, importTries},
		{vspheresim.APIError{Status: http.StatusInternalServerError, Kind: "internal_server_error"}, providers.Unknown, importTries},
		{vspheresim.APIError{Status: http.StatusServiceUnavailable}, providers.Unavailable, importTries},
	} {
		s, p, _ := libraryPeer(t)
		s.RefuseREST(deployCall, 100, c.with)
		req := fromLibrary("ovf")
		_, task, err := p.CreateVM(t.Context(), req)
		if err == nil {
			err = outcome(t, p, task)
		}
		wantCode(t, c.with.Kind, err, c.want)
		require.Equal(t, c.calls, s.Count(deployCall), c.with.Kind)
		templates, unfinished := imports(s)
		require.Empty(t, append(templates, unfinished...))
		require.Nil(t, ownedBy(t, p, req.VMID))
		require.False(t, strings.Contains(err.Error(), vspheresim.Password))
	}
}
