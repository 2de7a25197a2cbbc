// Package temporalx connects to Temporal: the client with its TLS, logger and
// payload codec, and what must be there before workflows start (namespace,
// search attributes, schedules).
//
// It imports the Temporal SDK and nothing of the control plane: names of
// attributes, queues and workflows are the caller's.
package temporalx

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/converter"
	"go.temporal.io/sdk/interceptor"
	"go.temporal.io/sdk/log"
	"go.temporal.io/sdk/workflow"
)

// Options say where Temporal is and how to speak to it.
type Options struct {
	HostPort  string // "127.0.0.1:7233"
	Namespace string // empty: "default"
	TLS       *TLS   // nil: no TLS
	// Codec encrypts payloads; nil leaves them in the clear.
	Codec *Codec
	// Identity names this process in Temporal; empty: pid@host.
	Identity string
	// Logger takes the SDK's messages; nil drops them.
	Logger       *slog.Logger
	Interceptors []interceptor.ClientInterceptor
}

// TLS are the files of a TLS connection, all PEM, all optional.
type TLS struct {
	CAFile     string // empty: the system's roots
	CertFile   string // with KeyFile: mutual TLS
	KeyFile    string
	ServerName string // empty: the host of HostPort
}

// Dial connects, and fails when Temporal does not answer.
func Dial(ctx context.Context, o Options) (client.Client, error) {
	opts, err := o.client()
	if err != nil {
		return nil, err
	}
	c, err := client.DialContext(ctx, opts)
	if err != nil {
		return nil, fmt.Errorf("connect to Temporal at %s: %w", o.HostPort, err)
	}
	return c, nil
}

// Lazy returns a client that connects on first use: a server that can answer
// reads, and accept work for the relay, need not wait for Temporal.
func Lazy(o Options) (client.Client, error) {
	opts, err := o.client()
	if err != nil {
		return nil, err
	}
	return client.NewLazyClient(opts)
}

func (o Options) client() (client.Options, error) {
	opts := client.Options{
		HostPort: o.HostPort, Namespace: o.Namespace, Identity: o.Identity,
		DataConverter: o.DataConverter(), Interceptors: append([]interceptor.ClientInterceptor{&traceLogs{}}, o.Interceptors...),
		ContextPropagators: []workflow.ContextPropagator{tracePropagator{}},
	}
	logger := o.Logger
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	opts.Logger = log.NewStructuredLogger(logger)
	if o.TLS != nil {
		conf, err := o.TLS.config()
		if err != nil {
			return opts, err
		}
		opts.ConnectionOptions.TLS = conf
	}
	if o.Codec != nil { // error texts are payloads too, once encoded
		opts.FailureConverter = o.FailureConverter()
	}
	return opts, nil
}

// DataConverter is what reads and writes payloads under these options, for
// those who read histories.
func (o Options) DataConverter() converter.DataConverter {
	if o.Codec == nil {
		return converter.GetDefaultDataConverter()
	}
	return converter.NewCodecDataConverter(converter.GetDefaultDataConverter(), o.Codec)
}

// FailureConverter is what reads and writes failures under these options.
func (o Options) FailureConverter() converter.FailureConverter {
	return newFailureConverter(o.DataConverter(), o.Codec != nil)
}

func (t *TLS) config() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.ServerName}
	if t.CAFile != "" {
		pem, err := os.ReadFile(t.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read Temporal's CA: %w", err)
		}
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("read Temporal's CA: %s holds no certificate", t.CAFile)
		}
	}
	switch {
	case t.CertFile != "" && t.KeyFile != "":
		cert, err := tls.LoadX509KeyPair(t.CertFile, t.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the client certificate for Temporal: %w", err)
		}
		conf.Certificates = []tls.Certificate{cert}
	case t.CertFile != "" || t.KeyFile != "":
		return nil, errors.New("the client certificate for Temporal needs both its file and its key's")
	}
	return conf, nil
}

// poll tries again and again until check is content or ctx is over.
func poll(ctx context.Context, every time.Duration, check func() error) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		err := check()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		case <-tick.C:
		}
	}
}
