package sim

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/sim/internal/wire"
)

// Consoles implements providers.Consoler.
func (p *Provider) Consoles(ctx context.Context, t providers.Target) (providers.ConsoleInfo, error) {
	const op = "Consoles"
	vm, err := p.find(ctx, op, t.VMID)
	if err != nil {
		return providers.ConsoleInfo{}, err
	}
	if vm == nil {
		return providers.ConsoleInfo{}, notFound(op)
	}
	var out wire.ConsolesResponse
	if err := p.call(ctx, op, wire.OpConsoleInfo, wire.VMRequest{VM: expect(vm)}, &out); err != nil {
		return providers.ConsoleInfo{}, err
	}
	info := providers.ConsoleInfo{Descriptor: out.Descriptor}
	for _, typ := range out.Types {
		switch typ {
		case wire.ConsoleVNC:
			info.Types = append(info.Types, models.ConsoleVNC)
		case wire.ConsoleSerial:
			info.Types = append(info.Types, models.ConsoleWeb)
		case wire.ConsoleRDP:
			info.Types = append(info.Types, models.ConsoleRDP)
		}
	}
	return info, nil
}

// OpenConsole implements providers.Consoler: the call's connection becomes the
// stream.
func (p *Provider) OpenConsole(ctx context.Context, t providers.Target, typ models.ConsoleType) (io.ReadWriteCloser, error) {
	const op = "OpenConsole"
	if err := p.usable(ctx, op); err != nil {
		return nil, err
	}
	var name string
	switch typ {
	case models.ConsoleVNC:
		name = wire.ConsoleVNC
	case models.ConsoleWeb:
		name = wire.ConsoleSerial
	case models.ConsoleRDP, models.ConsoleSPICE:
		return nil, fail(op, providers.Unimplemented, nil, "this type of console is not a stream")
	default:
		return nil, fail(op, providers.Unimplemented, nil, "there is no such type of console")
	}
	vm, err := p.find(ctx, op, t.VMID)
	if err != nil {
		return nil, err
	}
	if vm == nil {
		return nil, notFound(op)
	}
	stream := &stream{}
	if err := p.call(ctx, op, wire.OpOpenConsole, wire.OpenConsoleRequest{VM: expect(vm), Type: name}, stream); err != nil {
		return nil, err
	}
	return stream, nil
}

// stream is a connection that was a call's.
type stream struct {
	io.ReadWriteCloser
	once   sync.Once
	closed error
}

// Close ends the stream; more than once is once.
func (s *stream) Close() error {
	s.once.Do(func() { s.closed = s.ReadWriteCloser.Close() })
	return s.closed
}

// upgraded takes the connection of an answer that switched protocols.
func (s *stream) upgraded(op string, res *http.Response) *providers.Error {
	conn, ok := res.Body.(io.ReadWriteCloser)
	if !ok || !strings.EqualFold(res.Header.Get("Upgrade"), wire.UpgradeConsole) {
		return misunderstood(op, errors.Join(errors.New("it did not switch to a console"), res.Body.Close()))
	}
	s.ReadWriteCloser = conn
	return nil
}
