// Package journal keeps the Idempotency-Key of each request from before it is
// sent until its answer is known, so that neither a lost connection nor the end
// of the process loses the one thing that makes a repeat safe. It imports
// nothing of ours but package private.
package journal

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/internal/ctl/private"
)

// Lifetime is how long a request is kept: servers keep keys for at least a
// day, and afterwards a repeat would be a new request.
const Lifetime = 24 * time.Hour

// Request is a request whose answer is awaited.
type Request struct {
	Key       string    `json:"key"`
	Method    string    `json:"method"`
	URL       string    `json:"url"`
	Command   string    `json:"command"` // what repeats it
	CreatedAt time.Time `json:"created_at"`
}

// Journal is a directory of requests.
type Journal struct{ dir string }

// At opens the journal of a directory, which need not exist.
func At(dir string) Journal { return Journal{dir} }

// NewKey makes an Idempotency-Key: 128 random bits.
func NewKey() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return "hcpctl-" + base64.RawURLEncoding.EncodeToString(b[:])
}

// ErrKey is returned for a key that the API would refuse.
var ErrKey = errors.New("an idempotency key is 1 to 128 printable ASCII characters without spaces")

// CheckKey says whether the API takes the key.
func CheckKey(key string) error {
	if ok, err := regexp.MatchString(`^[!-~]{1,128}$`, key); err != nil || !ok {
		return ErrKey
	}
	return nil
}

// Keep writes a request down; it must be called before the request is sent.
func (j Journal) Keep(r Request) error {
	raw, err := json.Marshal(r)
	if err != nil {
		return err
	}
	return private.Write(j.path(r.Key), raw)
}

// Forget removes a request whose answer is known.
func (j Journal) Forget(key string) error { return private.Remove(j.path(key)) }

// Pending lists the requests whose answer is awaited, the oldest first. Those
// older than Lifetime are removed.
func (j Journal) Pending(now time.Time) ([]Request, error) {
	names, err := os.ReadDir(j.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	out := []Request{}
	for _, n := range names {
		if !strings.HasSuffix(n.Name(), ".json") {
			continue
		}
		path := filepath.Join(j.dir, n.Name())
		raw, err := private.Read(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // answered meanwhile
		}
		if err != nil {
			return nil, err
		}
		var r Request
		if err := json.Unmarshal(raw, &r); err != nil || now.Sub(r.CreatedAt) > Lifetime {
			if err := private.Remove(path); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Request) int { return a.CreatedAt.Compare(b.CreatedAt) })
	return out, nil
}

// path encodes the key, which may hold slashes.
func (j Journal) path(key string) string {
	return filepath.Join(j.dir, base64.RawURLEncoding.EncodeToString([]byte(key))+".json")
}
