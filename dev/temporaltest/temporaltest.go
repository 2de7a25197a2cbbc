// Package temporaltest gives tests a real Temporal server in their own
// process, with the control plane's namespace and search attributes. Of the
// control plane it imports workflows alone, for the attributes' names.
package temporaltest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	sdklog "go.temporal.io/sdk/log"

	"github.com/hypervisor-control-plane/hcp/dev/embedded"
	"github.com/hypervisor-control-plane/hcp/workflows"
)

// startTimeout bounds the start on a busy machine; an idle one takes 0.6 s.
const startTimeout = time.Minute

// Server is a Temporal server that lives as long as its test.
type Server struct {
	HostPort  string // "127.0.0.1:<port>"
	Namespace string

	client client.Client
}

// Option changes how the server is started.
type Option func(*embedded.Options)

// WithDir keeps the server's data in dir instead of in memory.
func WithDir(dir string) Option { return func(o *embedded.Options) { o.Dir = dir } }

// WithSearchAttributes gives the namespace more search attributes, beside
// those of the control plane.
func WithSearchAttributes(attrs map[string]enumspb.IndexedValueType) Option {
	return func(o *embedded.Options) {
		for name, typ := range attrs {
			o.SearchAttributes[name] = typ
		}
	}
}

// Start starts a server in memory with the control plane's search attributes,
// and stops it when the test ends. One server for all tests of a package costs
// less: start it in the outermost test, or use Run.
func Start(tb testing.TB, opts ...Option) *Server {
	tb.Helper()
	s, stop, err := start(tb.Context(), opts)
	if err != nil {
		tb.Fatalf("start Temporal: %v", err)
	}
	tb.Cleanup(stop)
	return s
}

// Run starts a server, runs the package's tests and stops it. For TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(temporaltest.Run(m, func(s *temporaltest.Server) { server = s })) }
func Run(m *testing.M, use func(*Server), opts ...Option) (code int) {
	s, stop, err := start(context.Background(), opts)
	if err != nil {
		slog.Error("start Temporal", "error", err)
		return 1
	}
	defer stop()
	use(s)
	return m.Run()
}

func start(ctx context.Context, opts []Option) (*Server, func(), error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	o := embedded.Options{SearchAttributes: embedded.Keywords(workflows.SearchAttributes()...)}
	for _, opt := range opts {
		opt(&o)
	}
	inner, err := embedded.Start(ctx, o)
	if err != nil {
		return nil, nil, err
	}
	c, err := client.DialContext(ctx, client.Options{
		HostPort: inner.HostPort(), Namespace: inner.Namespace(),
		Logger: sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler)),
	})
	if err != nil {
		inner.Stop()
		return nil, nil, err
	}
	stop := func() {
		c.Close()
		inner.Stop()
	}
	return &Server{HostPort: inner.HostPort(), Namespace: inner.Namespace(), client: c}, stop, nil
}

// Client is a client of the server that logs nothing and uses the SDK's own
// data converter. It is closed with the server.
func (s *Server) Client() client.Client { return s.client }

// Dial returns a client with settings of the caller's; address and namespace
// are filled in. It is closed when the test ends.
func (s *Server) Dial(tb testing.TB, o client.Options) client.Client {
	tb.Helper()
	o.HostPort, o.Namespace = s.HostPort, s.Namespace
	if o.Logger == nil {
		o.Logger = sdklog.NewStructuredLogger(slog.New(slog.DiscardHandler))
	}
	c, err := client.DialContext(tb.Context(), o)
	if err != nil {
		tb.Fatalf("dial Temporal: %v", err)
	}
	tb.Cleanup(c.Close)
	return c
}
