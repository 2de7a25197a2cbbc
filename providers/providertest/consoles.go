package providertest

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

func consoleCases() []Case {
	streams := []models.Capability{models.CapConsoleVNC, models.CapConsoleSerial}
	every := append(slices.Clone(streams), models.CapConsoleRDP)
	return []Case{
		{Name: "ConsolesTellWhatIsServed", run: testConsoles, anyOf: every},
		{Name: "TheScreenSpeaksRFB", run: testConsoleVNC, needs: []models.Capability{models.CapConsoleVNC}},
		{Name: "TheSerialLineGoesBothWays", run: testConsoleSerial, needs: []models.Capability{models.CapConsoleSerial}},
		{Name: "TheStreamEndsWithTheVM", run: testConsoleEnds, anyOf: streams},
		{Name: "ConsolesOfAStoppedVMAreRefused", run: testConsoleRefused, anyOf: every},
	}
}

// served are the types of consoles that the harness declares as streams.
func (c *contract) served() []models.ConsoleType {
	var out []models.ConsoleType
	if c.h.has(models.CapConsoleVNC) {
		out = append(out, models.ConsoleVNC)
	}
	if c.h.has(models.CapConsoleSerial) {
		out = append(out, models.ConsoleWeb)
	}
	return out
}

func testConsoles(c *contract) {
	vm := c.running(c.request())
	v := capable[providers.Consoler](c, c.p)
	info, err := v.Consoles(c.t.Context(), target(vm))
	c.noError("Consoles", err)
	want := c.served()
	if c.h.has(models.CapConsoleRDP) {
		want = append(want, models.ConsoleRDP)
		if len(info.Descriptor) == 0 {
			c.t.Error("an RDP client is told nothing")
		}
	}
	got := slices.DeleteFunc(slices.Clone(info.Types), func(t models.ConsoleType) bool { return t == models.ConsoleSPICE })
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		c.t.Errorf("Consoles names %v, want %v", got, want)
	}
	for _, typ := range []models.ConsoleType{models.ConsoleVNC, models.ConsoleWeb, models.ConsoleRDP, models.ConsoleSPICE, "nonsense"} {
		if slices.Contains(c.served(), typ) {
			continue
		}
		_, err := v.OpenConsole(c.t.Context(), target(vm), typ)
		c.wantCode("OpenConsole of a type that is not served", err, providers.Unimplemented)
	}
}

// connect opens a console under a context that ends at once: it bounds the
// connecting, not the stream.
func (c *contract) connect(vm providers.VM, typ models.ConsoleType) io.ReadWriteCloser {
	c.t.Helper()
	ctx, cancel := context.WithCancel(c.t.Context())
	stream, err := capable[providers.Consoler](c, c.p).OpenConsole(ctx, target(vm), typ)
	cancel()
	c.noError("OpenConsole", err)
	c.t.Cleanup(func() { _ = stream.Close() })
	return stream
}

// timely runs what reads of a stream, which may block for ever, and closes the
// stream when its time is over.
func (c *contract) timely(what string, stream io.Closer, do func() error) {
	c.t.Helper()
	timer := time.AfterFunc(c.h.Settle, func() { _ = stream.Close() })
	err := do()
	if !timer.Stop() {
		c.t.Fatalf("waited in vain for %s", what)
	}
	if err != nil {
		c.t.Fatalf("%s: %v", what, err)
	}
}

func testConsoleVNC(c *contract) {
	req := c.removeAtEnd(c.h.GuestRequest(c.t))
	vm := c.running(req)
	for range 2 { // one after the other
		stream := c.connect(vm, models.ConsoleVNC)
		screen := &rfbClient{stream: stream}
		c.timely("the RFB handshake", stream, screen.handshake)
		for _, secret := range []string{vm.Node, string(vm.Ref)} {
			if secret != "" && strings.Contains(screen.name, secret) {
				c.t.Errorf("the desktop's name %q tells where the VM is", screen.name)
			}
		}
		c.timely("the first picture", stream, screen.picture)
		c.noError("Close", closed(stream))
		c.noError("Close once more", closed(stream))
		if _, err := stream.Read(make([]byte, 1)); err == nil {
			c.t.Error("a stream that was closed can be read")
		}
		c.wantPower(vm.VMID, models.PowerRunning)
	}
}

// closed closes a stream, and makes its error one of the contract's for noError.
func closed(stream io.Closer) error {
	if err := stream.Close(); err != nil {
		return &providers.Error{Code: providers.Internal, Provider: "stream", Op: "Close", Message: err.Error(), Err: err}
	}
	return nil
}

func testConsoleSerial(c *contract) {
	vm := c.guest()
	c.boot(vm) // the guest has come up, where the harness can tell
	stream := c.connect(vm, models.ConsoleWeb)
	if c.h.Serial != (Dialogue{}) {
		c.timely("the guest's answer on the serial line", stream, func() error { return c.converse(stream) })
	}
	c.noError("Close", closed(stream))
	c.noError("Close once more", closed(stream))
	if _, err := stream.Read(make([]byte, 1)); err == nil {
		c.t.Error("a stream that was closed can be read")
	}
	c.wantPower(vm.VMID, models.PowerRunning)
	again := c.connect(vm, models.ConsoleWeb)
	c.noError("Close of a second one", closed(again))
}

func (c *contract) converse(stream io.ReadWriter) error {
	if _, err := stream.Write([]byte(c.h.Serial.Type)); err != nil {
		return err
	}
	var heard []byte
	buf := make([]byte, 4096)
	for !strings.Contains(string(heard), c.h.Serial.Answer) {
		n, err := stream.Read(buf)
		heard = append(heard, buf[:n]...)
		if err != nil {
			return errors.Join(err, errors.New("heard: "+string(heard)))
		}
	}
	return nil
}

func testConsoleEnds(c *contract) {
	vm := c.running(c.request())
	streams := map[models.ConsoleType]io.ReadWriteCloser{}
	for _, typ := range c.served() {
		streams[typ] = c.connect(vm, typ)
	}
	c.forceOff(vm)
	for typ, stream := range streams {
		c.timely("the end of the console "+string(typ)+" of a VM that stopped", stream, func() error {
			_, _ = io.Copy(io.Discard, stream) // to its end, whether EOF or an error
			return nil
		})
	}
	c.wantPower(vm.VMID, models.PowerStopped)
}

func testConsoleRefused(c *contract) {
	vm, ctx := c.create(c.request()), c.t.Context()
	v := capable[providers.Consoler](c, c.p)
	_, err := v.Consoles(ctx, target(vm))
	c.wantCode("Consoles of a stopped VM", err, providers.FailedPrecondition)
	for _, typ := range c.served() {
		_, err := v.OpenConsole(ctx, target(vm), typ)
		c.wantCode("OpenConsole of a stopped VM", err, providers.FailedPrecondition)
	}
	c.wantPower(vm.VMID, models.PowerStopped)
}
