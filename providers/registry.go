package providers

import (
	"context"
	"fmt"
	"slices"

	"github.com/hypervisor-control-plane/hcp/models"
)

// As returns p as the capability interface T, or an Unimplemented error.
func As[T any](p Provider, kind Kind, op string) (T, error) {
	t, ok := p.(T)
	if !ok {
		return t, &Error{Code: Unimplemented, Provider: kind, Op: op, Message: "not supported by this hypervisor"}
	}
	return t, nil
}

// Config is what an adapter is opened with.
type Config struct {
	ProviderID string
	// InstallationID is the other half of the ownership mark.
	InstallationID string
	URL            string
	Options        map[string]string
	Credentials    models.Credentials
}

// String hides the credentials and keeps the rest out of logs.
func (c Config) String() string { return "[provider " + c.ProviderID + "]" }

// GoString hides the credentials from %#v.
func (c Config) GoString() string { return c.String() }

// Factory makes adapters of one kind. Open validates the settings
// (InvalidArgument) and need not connect.
type Factory struct {
	Kind Kind
	Open func(ctx context.Context, cfg Config) (Provider, error)
}

// Registry maps kinds to factories. There is no global one: the worker's
// wiring builds it.
type Registry struct{ factories map[Kind]Factory }

// NewRegistry panics on a duplicate kind: that is a programming error.
func NewRegistry(fs ...Factory) *Registry {
	r := &Registry{factories: make(map[Kind]Factory, len(fs))}
	for _, f := range fs {
		if _, dup := r.factories[f.Kind]; dup {
			panic(fmt.Sprintf("providers: %q registered twice", f.Kind))
		}
		r.factories[f.Kind] = f
	}
	return r
}

// Open opens an adapter. Unimplemented for a kind that is not registered.
func (r *Registry) Open(ctx context.Context, kind Kind, cfg Config) (Provider, error) {
	f, ok := r.factories[kind]
	if !ok {
		return nil, &Error{Code: Unimplemented, Provider: kind, Op: "Open", Message: "no adapter for this kind of hypervisor"}
	}
	return f.Open(ctx, cfg)
}

// Kinds lists the registered kinds, sorted.
func (r *Registry) Kinds() []Kind {
	out := make([]Kind, 0, len(r.factories))
	for k := range r.factories {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
