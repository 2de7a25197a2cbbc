package server_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/store/storetest"
)

const (
	accountsPath = tenantBase + "/projects/" + storetest.Project + "/service-accounts"
	sshKeysPath  = tenantBase + "/projects/" + storetest.Project + "/ssh-keys"
)

func TestServiceAccounts(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		res := w.do(t, owner(), http.MethodPost, accountsPath, map[string]any{"name": "robot", "description": "d"}, "Idempotency-Key", "k")
		require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
		made := res.json(t)
		at := accountsPath + "/" + made["id"].(string)
		require.Equal(t, at, res.Header.Get("Location"))
		require.Equal(t, `"1"`, res.Header.Get("ETag"))
		require.Equal(t, false, made["disabled"])
		again := w.do(t, owner(), http.MethodPost, accountsPath, map[string]any{"name": "robot", "description": "d"}, "Idempotency-Key", "k")
		require.Equal(t, "true", again.Header.Get("Idempotency-Replayed"))
		require.Equal(t, res.body, again.body)
		w.do(t, owner(), http.MethodPost, accountsPath, map[string]any{"name": "robot"}).requireProblem(t, http.StatusConflict, "NAME_CONFLICT")

		require.Equal(t, made, w.do(t, owner(), http.MethodGet, at, nil).json(t))
		require.Equal(t, http.StatusNotModified, w.do(t, owner(), http.MethodGet, at, nil, "If-None-Match", `"1"`).StatusCode)
		require.Equal(t, []string{"robot"}, w.pages(t, owner(), accountsPath+"?limit=1"))

		off := w.do(t, owner(), http.MethodPatch, at, map[string]any{"disabled": true}, "If-Match", `"1"`, "Idempotency-Key", "off")
		require.Equal(t, http.StatusOK, off.StatusCode, "%s", off.body)
		require.Equal(t, `"2"`, off.Header.Get("ETag"))
		require.Equal(t, true, off.json(t)["disabled"])
		require.Equal(t, "robot", off.json(t)["name"])
		require.Equal(t, off.json(t), w.do(t, owner(), http.MethodGet, at, nil).json(t))
		replay := w.do(t, owner(), http.MethodPatch, at, map[string]any{"disabled": true}, "If-Match", `"1"`, "Idempotency-Key", "off")
		require.Equal(t, "true", replay.Header.Get("Idempotency-Replayed"), "a repeat gets its answer, though If-Match holds no more")
		require.Equal(t, off.body, replay.body)
		require.Equal(t, off.Header.Get("ETag"), replay.Header.Get("ETag"))
		w.do(t, owner(), http.MethodPatch, at, map[string]any{"disabled": false}, "If-Match", `"1"`).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
		require.Equal(t, false, w.do(t, owner(), http.MethodPatch, at, map[string]any{"disabled": false, "name": "Robot", "description": ""}).json(t)["disabled"])
		w.do(t, owner(), http.MethodPatch, at, map[string]any{}).requireProblem(t, http.StatusBadRequest, "INVALID_ARGUMENT")
		w.do(t, owner(), http.MethodPatch, at, map[string]any{"project_id": "x"}).requireProblem(t, http.StatusBadRequest, "UNKNOWN_FIELD")

		w.do(t, owner(), http.MethodDelete, at, nil, "If-Match", `"2"`).requireProblem(t, http.StatusPreconditionFailed, "PRECONDITION_FAILED")
		del := w.do(t, owner(), http.MethodDelete, at, nil, "If-Match", `"3"`, "Idempotency-Key", "del")
		require.Equal(t, http.StatusNoContent, del.StatusCode, "%s", del.body)
		require.Empty(t, del.body)
		del = w.do(t, owner(), http.MethodDelete, at, nil, "If-Match", `"3"`, "Idempotency-Key", "del")
		require.Equal(t, http.StatusNoContent, del.StatusCode)
		require.Equal(t, "true", del.Header.Get("Idempotency-Replayed"))
		w.do(t, owner(), http.MethodGet, at, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		w.do(t, owner(), http.MethodGet, at+"/keys", nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
	})
}

// TestAKeysSecretIsShownOnce: it is in one answer, and nowhere else. Not in the
// answer to a repeat, not in a log, not in the database.
func TestAKeysSecretIsShownOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		keys := accountsPath + "/" + w.create(t, accountsPath, map[string]any{"name": "robot"}) + "/keys"
		expires := w.Clock.Now().Add(time.Hour)
		body := map[string]any{"expires_at": expires.Format(time.RFC3339Nano)}
		res := w.do(t, owner(), http.MethodPost, keys, body, "Idempotency-Key", "k")
		require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
		made := res.json(t)
		secret := made["client_secret"].(string)
		require.Regexp(t, `^hcp_[A-Za-z0-9_-]{43}$`, secret)
		require.Equal(t, made["id"], made["client_id"])
		require.Equal(t, keys+"/"+made["id"].(string), res.Header.Get("Location"))
		account, key, err := w.ServiceAccountKey(t.Context(), made["client_id"].(string))
		require.NoError(t, err)
		require.Equal(t, "robot", account.Name)
		require.True(t, key.SecretMatches(secret))
		require.True(t, expires.Equal(*key.ExpiresAt))

		replay := w.do(t, owner(), http.MethodPost, keys, body, "Idempotency-Key", "k")
		require.Equal(t, http.StatusCreated, replay.StatusCode)
		require.Equal(t, "true", replay.Header.Get("Idempotency-Replayed"))
		delete(made, "client_secret")
		require.Equal(t, made, replay.json(t), "a repeat gets the same answer without the secret")
		require.Equal(t, 1, w.Count(t, "service_account_keys"))
		listed := w.do(t, owner(), http.MethodGet, keys, nil)
		require.Equal(t, []map[string]any{made}, listed.items(t))

		dump := w.state(t)
		require.Contains(t, dump, made["id"].(string), "the dump has the row")
		for _, part := range []string{secret, secret[4:]} {
			require.NotContains(t, dump+w.logs.String()+string(replay.body)+string(listed.body), part)
		}
	})
}

// TestRotation: the old key lives until it is revoked, and is dead at once then.
func TestRotation(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		keys := accountsPath + "/" + w.create(t, accountsPath, map[string]any{"name": "robot"}) + "/keys"
		old, fresh := w.create(t, keys, nil), w.create(t, keys, map[string]any{})
		require.Len(t, w.do(t, owner(), http.MethodGet, keys, nil).items(t), 2)
		require.Equal(t, http.StatusNoContent, w.do(t, owner(), http.MethodDelete, keys+"/"+old, nil).StatusCode)
		w.do(t, owner(), http.MethodDelete, keys+"/"+old, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		left := w.do(t, owner(), http.MethodGet, keys, nil).items(t)
		require.Len(t, left, 1)
		require.Equal(t, fresh, left[0]["id"])
		_, revoked, err := w.ServiceAccountKey(t.Context(), old)
		require.NoError(t, err)
		require.False(t, revoked.LiveAt(w.Clock.Now()))

		past := map[string]any{"expires_at": w.Clock.Now().Add(-time.Hour).Format(time.RFC3339)}
		p := w.do(t, owner(), http.MethodPost, keys, past).requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
		require.Equal(t, "/expires_at", p["errors"].([]any)[0].(map[string]any)["pointer"])
		for range 4 {
			w.create(t, keys, map[string]any{})
		}
		w.do(t, owner(), http.MethodPost, keys, map[string]any{}).requireProblem(t, http.StatusConflict, "LIMIT_REACHED")
		require.Len(t, w.pages(t, owner(), keys+"?limit=2"), 5)
	})
}
