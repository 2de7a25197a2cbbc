package secrets_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/stretchr/testify/require"
	"gopkg.in/yaml.v3"

	"github.com/hypervisor-control-plane/hcp/internal/secrets"
)

func newSealer(t *testing.T) (*secrets.Sealer, []byte) {
	t.Helper()
	keyset, err := secrets.NewKeyset()
	require.NoError(t, err)
	sealer, err := secrets.NewSealer(keyset)
	require.NoError(t, err)
	return sealer, keyset
}

func TestSealAndOpen(t *testing.T) {
	sealer, keyset := newSealer(t)
	sealed, err := sealer.Seal([]byte("hunter2"), "provider/a/credentials")
	require.NoError(t, err)
	require.False(t, bytes.Contains(sealed, []byte("hunter2")))
	again, err := sealer.Seal([]byte("hunter2"), "provider/a/credentials")
	require.NoError(t, err)
	require.NotEqual(t, sealed, again, "equal values do not look equal")

	reloaded, err := secrets.NewSealer(keyset)
	require.NoError(t, err)
	plain, err := reloaded.Open(sealed, "provider/a/credentials")
	require.NoError(t, err)
	require.Equal(t, "hunter2", string(plain))

	_, err = sealer.Open(sealed, "provider/b/credentials")
	require.Equal(t, secrets.ErrOpen, err, "another row")
	_, err = sealer.Open(sealed, "vm/a/user_data")
	require.Equal(t, secrets.ErrOpen, err, "another column")
	stranger, _ := newSealer(t)
	_, err = stranger.Open(sealed, "provider/a/credentials")
	require.Equal(t, secrets.ErrOpen, err, "another keyset")
	for i := range sealed {
		broken := bytes.Clone(sealed)
		broken[i] ^= 1
		_, err = sealer.Open(broken, "provider/a/credentials")
		require.Equal(t, secrets.ErrOpen, err, "byte %d", i)
	}
}

func TestNothingIsSealedToNothing(t *testing.T) {
	sealer, _ := newSealer(t)
	sealed, err := sealer.Seal(nil, "x")
	require.NoError(t, err)
	require.Nil(t, sealed)
	plain, err := sealer.Open(nil, "x")
	require.NoError(t, err)
	require.Nil(t, plain)
}

func TestRotate(t *testing.T) {
	old, keyset := newSealer(t)
	before, err := old.Seal([]byte("before"), "x")
	require.NoError(t, err)
	rotated, err := secrets.Rotate(keyset)
	require.NoError(t, err)
	sealer, err := secrets.NewSealer(rotated)
	require.NoError(t, err)
	plain, err := sealer.Open(before, "x")
	require.NoError(t, err)
	require.Equal(t, "before", string(plain), "what the old key sealed still opens")
	after, err := sealer.Seal([]byte("after"), "x")
	require.NoError(t, err)
	_, err = old.Open(after, "x")
	require.Equal(t, secrets.ErrOpen, err, "new values are sealed with the new key")
}

func TestBadKeysetsAreNotQuoted(t *testing.T) {
	for _, bad := range []string{"", "{}", `{"primaryKeyId":1,"key":[{"keyData":{"value":"hunter2"}}]}`, "hunter2"} {
		_, err := secrets.NewSealer([]byte(bad))
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "hunter2")
		_, err = secrets.Rotate([]byte(bad))
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "hunter2")
	}
}

func TestTextNeverPrints(t *testing.T) {
	text := secrets.NewText("hunter2")
	type config struct {
		Public  secrets.Text  `json:"public" yaml:"public"`
		Pointer *secrets.Text `json:"pointer" yaml:"pointer"`
		private secrets.Text
	}
	values := []any{text, &text, config{text, &text, text}, &config{text, &text, text}, []secrets.Text{text}, map[string]secrets.Text{"a": text}, errors.Join(fmt.Errorf("%v", text))}
	for _, value := range values {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%c", "%p", "%!", "%10.2v"} {
			require.NotContains(t, fmt.Sprintf(verb, value), "hunter2", verb)
			require.NotContains(t, fmt.Sprintf(verb, value), "68756e74657232", verb)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "value", value)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "value", value)
		require.NotContains(t, log.String(), "hunter2")
		if b, err := json.Marshal(value); err == nil {
			require.NotContains(t, string(b), "hunter2")
		}
	}
	b, err := yaml.Marshal(config{Public: text, Pointer: &text})
	require.NoError(t, err)
	require.NotContains(t, string(b), "hunter2")
	require.Equal(t, "hunter2", text.Reveal())
	require.False(t, text.IsEmpty())
	require.True(t, secrets.Text{}.IsEmpty())
	require.Equal(t, "[secret]", secrets.Text{}.String())
}

func TestTextIsRead(t *testing.T) {
	var text secrets.Text
	require.NoError(t, text.UnmarshalText([]byte("hunter2")))
	require.Equal(t, "hunter2", text.Reveal())
	var fromJSON struct{ Password secrets.Text }
	require.NoError(t, json.Unmarshal([]byte(`{"Password":"hunter2"}`), &fromJSON))
	require.Equal(t, "hunter2", fromJSON.Password.Reveal())
	var fromYAML struct{ Password secrets.Text }
	require.NoError(t, yaml.Unmarshal([]byte("password: hunter2"), &fromYAML))
	require.Equal(t, "hunter2", fromYAML.Password.Reveal())
}
