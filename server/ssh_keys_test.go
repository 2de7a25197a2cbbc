package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSSHKeys(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		res := w.do(t, owner(), http.MethodPost, sshKeysPath, map[string]any{"name": "laptop", "public_key": " " + strings.Replace(publicKey, " me", "   me  too ", 1)})
		require.Equal(t, http.StatusCreated, res.StatusCode, "%s", res.body)
		made := res.json(t)
		require.Equal(t, publicKey+" too", made["public_key"], "in one form")
		require.Equal(t, "SHA256:ergs/M130GJD96efWFQZIng/ZJM2TAMGoALBOtvqsbU", made["fingerprint"])
		at := sshKeysPath + "/" + made["id"].(string)
		require.Equal(t, at, res.Header.Get("Location"))
		got := w.do(t, owner(), http.MethodGet, at, nil)
		require.Equal(t, made, got.json(t))
		require.Equal(t, `"1"`, got.Header.Get("ETag"))
		require.Equal(t, []string{"laptop"}, w.pages(t, owner(), sshKeysPath))
		w.do(t, owner(), http.MethodPost, sshKeysPath, map[string]any{"name": "laptop", "public_key": publicKey}).requireProblem(t, http.StatusConflict, "NAME_CONFLICT")

		for name, bad := range map[string]string{
			"no key": "hello", "an option": "restrict " + publicKey, "cut": publicKey[:60] + " me", "DSA": "ssh-dss AAAAB3NzaC1kc3MAAACB me",
		} {
			p := w.do(t, owner(), http.MethodPost, sshKeysPath, map[string]any{"name": "x", "public_key": bad}).
				requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
			require.Equal(t, "/public_key", p["errors"].([]any)[0].(map[string]any)["pointer"], name)
		}

		vm := createBody("a")
		vm["ssh_keys"] = []string{made["id"].(string), strings.Replace(publicKey, " me", "  me", 1)}
		accepted := w.do(t, owner(), http.MethodPost, vmsPath, vm)
		require.Equal(t, http.StatusAccepted, accepted.StatusCode, "%s", accepted.body)
		read := w.do(t, owner(), http.MethodGet, vmsPath+"/"+accepted.json(t)["vm_id"].(string), nil).json(t)
		require.Equal(t, []any{publicKey + " too", publicKey}, read["ssh_keys"])

		require.Equal(t, http.StatusNoContent, w.do(t, owner(), http.MethodDelete, at, nil, "If-Match", `"1"`).StatusCode)
		w.do(t, owner(), http.MethodGet, at, nil).requireProblem(t, http.StatusNotFound, "NOT_FOUND")
		for _, unusable := range []string{made["id"].(string), "ssh-ed25519 AAAA me", "ssh-ed25519"} {
			vm := createBody("b")
			vm["ssh_keys"] = []string{publicKey, unusable}
			p := w.do(t, owner(), http.MethodPost, vmsPath, vm).requireProblem(t, http.StatusUnprocessableEntity, "SEMANTIC_INVALID")
			require.Equal(t, "/ssh_keys/1", p["errors"].([]any)[0].(map[string]any)["pointer"])
		}
	})
}
