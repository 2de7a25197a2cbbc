package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/hypervisor-control-plane/hcp/providers/sim/simhv"
)

// readHeaderTimeout bounds how long a client may take to send its headers.
const readHeaderTimeout = 10 * time.Second

// Sim is a simulated hypervisor that listens on an address.
type Sim struct {
	url    string
	stop   func() error
	failed chan error
}

// StartSim starts a simulated hypervisor on a listener, which it takes over.
func StartSim(l net.Listener, o simhv.Options) (*Sim, error) {
	hv, err := simhv.New(o)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	server := &http.Server{Handler: hv, ReadHeaderTimeout: readHeaderTimeout}
	return startSim(l, "http://"+l.Addr().String(), hv, server), nil
}

func startSim(l net.Listener, url string, hv io.Closer, server *http.Server) *Sim {
	s := &Sim{url: url, failed: make(chan error, 1)}
	s.stop = func() error { return errors.Join(hv.Close(), server.Close()) }
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.failed <- fmt.Errorf("simulated hypervisor: %w", err)
		}
	}()
	return s
}

// URL is where it listens.
func (s *Sim) URL() string { return s.url }

// Failed tells why it stopped listening by itself.
func (s *Sim) Failed() <-chan error { return s.failed }

// Stop stops it; the state file has everything.
func (s *Sim) Stop() error { return s.stop() }

// listen opens a TCP port of loopback: the preferred one where it is free,
// another where it is 0 or taken.
func listen(ctx context.Context, preferred int) (net.Listener, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(preferred)))
	if err != nil && preferred != 0 {
		l, err = lc.Listen(ctx, "tcp", "127.0.0.1:0")
	}
	return l, err
}
