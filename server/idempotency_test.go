package server_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
	"github.com/hypervisor-control-plane/hcp/models"
)

func TestIdempotencyReplays(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		first := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "Idempotency-Key", "k1")
		require.Equal(t, http.StatusAccepted, first.StatusCode)
		require.Empty(t, first.Header.Get("Idempotency-Replayed"))

		// Order of members and spacing do not matter.
		same := ` {"networks":[{"network_id":"` + storetest.Network + `"}], "flavor_id":"` + storetest.Flavor + `","image_id":"` + storetest.Image + `","name":"a"}`
		again := w.do(t, owner(), http.MethodPost, vmsPath, same, "Idempotency-Key", "k1")
		require.Equal(t, http.StatusAccepted, again.StatusCode)
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		require.Equal(t, first.body, again.body)
		require.Equal(t, first.Header.Get("Location"), again.Header.Get("Location"))
		require.Equal(t, "1", again.Header.Get("Retry-After"))
		require.Len(t, w.dispatcher.jobs(), 1)

		w.do(t, owner(), http.MethodPost, vmsPath, createBody("b"), "Idempotency-Key", "k1").
			requireProblem(t, http.StatusUnprocessableEntity, "IDEMPOTENCY_KEY_REUSED")

		// The same key of another principal, or for another path, is another key.
		other := who{plane: owner().plane, tenant: storetest.Tenant, roles: []string{"owner", "viewer"}}
		require.Empty(t, w.do(t, other, http.MethodPost, vmsPath, createBody("c"), "Idempotency-Key", "k1").Header.Get("Idempotency-Replayed"))
		vm := w.ActiveVM(t, "d")
		stop := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+":stop", nil, "Idempotency-Key", "k1")
		require.Equal(t, http.StatusAccepted, stop.StatusCode)
		require.Empty(t, stop.Header.Get("Idempotency-Replayed"))
		// No body and an empty object are the same request; %3A is a colon.
		stop2 := w.do(t, owner(), http.MethodPost, vmsPath+"/"+vm.ID+"%3Astop", "{}", "Idempotency-Key", "k1")
		require.Equal(t, "true", stop2.Header.Get("Idempotency-Replayed"))
		require.Equal(t, stop.body, stop2.body)

		del := w.do(t, owner(), http.MethodDelete, vmsPath+"/"+vm.ID, nil, "Idempotency-Key", "k2")
		del2 := w.do(t, owner(), http.MethodDelete, vmsPath+"/"+vm.ID, nil, "Idempotency-Key", "k2")
		require.Equal(t, "true", del2.Header.Get("Idempotency-Replayed"))
		require.Equal(t, del.body, del2.body)
	})
}

func TestIdempotentCatalogCreate(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		body := map[string]any{"name": "z2", "location": "paris"}
		first := w.do(t, admin(), http.MethodPost, opsBase+"/zones", body, "Idempotency-Key", "k")
		require.Equal(t, http.StatusCreated, first.StatusCode, "%s", first.body)
		again := w.do(t, admin(), http.MethodPost, opsBase+"/zones", body, "Idempotency-Key", "k")
		require.Equal(t, http.StatusCreated, again.StatusCode)
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		require.Equal(t, first.body, again.body)
		require.Equal(t, first.Header.Get("ETag"), again.Header.Get("ETag"))
		require.Equal(t, first.Header.Get("Location"), again.Header.Get("Location"))
	})
}

func TestARefusedRequestTakesNoKey(t *testing.T) {
	w := onSQLite(t)
	bad := createBody("a")
	bad["image_id"] = "nope"
	w.do(t, owner(), http.MethodPost, vmsPath, bad, "Idempotency-Key", "k").requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
	require.Zero(t, w.Count(t, "idempotency_records"))
	require.Equal(t, http.StatusAccepted, w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "Idempotency-Key", "k").StatusCode)
}

func TestMalformedIdempotencyKeys(t *testing.T) {
	w := onSQLite(t)
	before := w.state(t)
	for name, headers := range map[string][]string{
		"empty":     {"Idempotency-Key", ""},
		"too long":  {"Idempotency-Key", strings.Repeat("k", 129)},
		"a space":   {"Idempotency-Key", "a b"},
		"not ASCII": {"Idempotency-Key", "schlüssel"},
		"control":   {"Idempotency-Key", "a\x01b"},
		"two":       {"Idempotency-Key", "a", "Idempotency-Key", "b"},
	} {
		t.Run(name, func(t *testing.T) {
			p := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), headers...).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
			require.Equal(t, "/header/Idempotency-Key", p["errors"].([]any)[0].(map[string]any)["pointer"])
		})
	}
	require.Equal(t, before, w.state(t))
	res := w.do(t, owner(), http.MethodPost, vmsPath, createBody("a"), "Idempotency-Key", strings.Repeat("~", 128))
	require.Equal(t, http.StatusAccepted, res.StatusCode)
}

func TestOneKeyManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const clients = 8
		token := w.token(t, owner())
		replies := make([]reply, clients)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				replies[i] = w.send(t, http.MethodPost, vmsPath, createBody("a"), "Authorization", "Bearer "+token, "Idempotency-Key", "k")
			})
		}
		wg.Wait()
		fresh := 0
		for _, r := range replies {
			if r.StatusCode == http.StatusConflict {
				r.requireProblem(t, http.StatusConflict, "IDEMPOTENCY_IN_PROGRESS")
				continue
			}
			require.Equal(t, http.StatusAccepted, r.StatusCode, "%s", r.body)
			if r.Header.Get("Idempotency-Replayed") == "" {
				fresh++
			}
		}
		require.Equal(t, 1, fresh)
		require.Equal(t, 1, w.Count(t, "vms"))
		require.Len(t, w.dispatcher.jobs(), 1)
	})
}

// TestStoredHashOfABodyIsKeyed: who reads the database must not be able to try
// passwords against the hash of a request that held one.
func TestStoredHashOfABodyIsKeyed(t *testing.T) {
	w := onSQLite(t)
	body := map[string]any{"name": "p", "kind": "sim", "url": "http://127.0.0.1:1", "zone_id": storetest.Zone, "credentials": map[string]string{"password": "hunter2"}}
	require.Equal(t, http.StatusAccepted, w.do(t, admin(), http.MethodPost, opsBase+"/providers", body, "Idempotency-Key", "k").StatusCode)
	var record models.IdempotencyRecord
	require.NoError(t, w.DB.Where("key = 'k'").Take(&record).Error)
	require.Len(t, record.RequestHash, 32)
	require.NotContains(t, w.state(t), "hunter2")
	require.NotContains(t, string(record.Body), "hunter2")
	for _, guess := range []string{
		`{"credentials":{"password":"hunter2"},"kind":"sim","name":"p","url":"http://127.0.0.1:1","zone_id":"` + storetest.Zone + `"}`,
	} {
		require.NotEqual(t, sha(guess), record.RequestHash)
	}
}
