package server_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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

// TestOneKeyManyAtOnce: of fifty equal creates at one time one is carried out,
// and its answer is lost on the way. The others are told what it was, and so is
// who asks again.
func TestOneKeyManyAtOnce(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const clients = 50
		token := w.token(t, owner())
		var lost atomic.Int32
		srv := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			w.handler.ServeHTTP(rec, r)
			if rec.Code == http.StatusAccepted && rec.Header().Get("Idempotency-Replayed") == "" {
				lost.Add(1)
				panic(http.ErrAbortHandler) // the connection is cut
			}
			maps.Copy(rw.Header(), rec.Header())
			rw.WriteHeader(rec.Code)
			_, _ = rw.Write(rec.Body.Bytes())
		}))
		defer srv.Close()
		c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // which repeats nothing itself
		ask := func(body string) (status int, replayed bool, answer string, err error) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+vmsPath, strings.NewReader(body))
			if err != nil {
				return 0, false, "", err
			}
			r.Header.Set("Authorization", "Bearer "+token)
			r.Header.Set("Content-Type", "application/json")
			r.Header.Set("Idempotency-Key", "k")
			res, err := c.Do(r)
			if err != nil {
				return 0, false, "", err
			}
			defer func() { _ = res.Body.Close() }()
			raw, err := io.ReadAll(res.Body)
			return res.StatusCode, res.Header.Get("Idempotency-Replayed") == "true", string(raw), err
		}
		raw, err := json.Marshal(createBody("a"))
		require.NoError(t, err)
		answers, cut := make([]string, clients), make([]error, clients)
		var wg sync.WaitGroup
		for i := range clients {
			wg.Go(func() {
				for {
					status, replayed, answer, err := ask(string(raw))
					switch {
					case err == nil && status == http.StatusConflict && strings.Contains(answer, "IDEMPOTENCY_IN_PROGRESS"):
						continue
					case err == nil && (status != http.StatusAccepted || !replayed):
						answer = fmt.Sprintf("%d %s", status, answer)
					}
					answers[i], cut[i] = answer, err
					return
				}
			})
		}
		wg.Wait()
		require.EqualValues(t, 1, lost.Load(), "carried out")
		told := slices.DeleteFunc(slices.Clone(answers), func(a string) bool { return a == "" })
		require.Len(t, told, clients-1, "replays")
		require.Len(t, slices.Compact(told), 1, "all the same")
		require.Len(t, slices.DeleteFunc(cut, func(err error) bool { return err == nil }), 1)

		status, replayed, answer, err := ask(string(raw))
		require.NoError(t, err)
		require.Equal(t, http.StatusAccepted, status)
		require.True(t, replayed)
		require.Equal(t, told[0], answer)
		require.Equal(t, 1, w.Count(t, "vms"))
		require.Equal(t, 1, w.Count(t, "operations")-w.seededOperations(t))
		require.Len(t, w.dispatcher.jobs(), 1)
		require.Contains(t, answer, w.dispatcher.jobs()[0])

		raw, err = json.Marshal(createBody("b"))
		require.NoError(t, err)
		status, _, answer, err = ask(string(raw))
		require.NoError(t, err)
		require.Equal(t, http.StatusUnprocessableEntity, status)
		require.Contains(t, answer, "IDEMPOTENCY_KEY_REUSED")
	})
}

// seededOperations counts the jobs of operators, which the world begins with.
func (w *world) seededOperations(t *testing.T) int {
	t.Helper()
	var n int64
	require.NoError(t, w.DB.WithContext(t.Context()).Table("operations").Where("tenant_id = ''").Count(&n).Error)
	return int(n)
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
