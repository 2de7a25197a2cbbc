package libvirt

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"io"
	"net"
	"strconv"
	"time"

	lv "github.com/digitalocean/go-libvirt"
	"libvirt.org/go/libvirtxml"

	"github.com/hypervisor-control-plane/hcp/providers"
	"github.com/hypervisor-control-plane/hcp/providers/rfb"
)

// A VM's VNC server admits nobody: its password is random, known to no one, and
// expired. To open the screen a fresh one is set in the running QEMU, used at
// once, and replaced by another that nobody knows.

// A password for VNC lives in libvirt's XML as "passwd" with "passwdValidTo", in
// UTC (https://libvirt.org/formatdomain.html#graphical-framebuffers).
const (
	vncTime    = "2006-01-02T15:04:05"
	vncExpired = "1970-01-02T00:00:00"
	// vncValidity allows for clocks that differ. A password is replaced long
	// before.
	vncValidity = 5 * time.Minute
)

// vncPassword is random: 8 characters, as VNC looks at no more, of 6 bits each.
func vncPassword() string {
	var b [6]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// screenTries bounds the attempts to use a password before somebody else who opens
// the same screen replaces it.
const screenTries = 5

// desktopName is what a viewer sees of the host's name for the screen.
const desktopName = "Console"

func (p *Provider) openScreen(ctx context.Context, r rpc, d domain, x libvirtxml.Domain) (io.ReadWriteCloser, error) {
	vnc := vncOf(x)
	address := p.cfg.endpoint.screen(vnc)
	var refused *rfb.RefusedError
	for try := 1; ; try++ {
		conn, err := p.tryScreen(ctx, r, d, *vnc, address)
		if err == nil {
			return rfb.Open(conn, desktopName), nil
		}
		if !errors.As(err, &refused) || try == screenTries {
			return nil, r.screenFailed(err)
		}
	}
}

// tryScreen sets a password, where the VM was made with one, and uses it.
func (p *Provider) tryScreen(ctx context.Context, r rpc, d domain, vnc libvirtxml.DomainGraphicVNC, address string) (net.Conn, error) {
	password := ""
	if vnc.Passwd != "" {
		password = vncPassword()
		if err := setPassword(ctx, r, d, vnc, password, time.Now().Add(vncValidity).UTC().Format(vncTime)); err != nil {
			return nil, err
		}
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err == nil {
		if err = rfb.Authenticate(ctx, conn, password); err != nil {
			_ = conn.Close()
		}
	}
	if vnc.Passwd == "" {
		return conn, err
	}
	// Also where the context has ended: the password must not stay.
	lockErr := setPassword(context.WithoutCancel(ctx), r, d, vnc, vncPassword(), vncExpired)
	if err != nil {
		return nil, err
	}
	if lockErr != nil {
		_ = conn.Close()
		return nil, lockErr
	}
	return conn, nil
}

// setPassword changes the password of the running QEMU alone. Viewers that are
// connected stay.
func setPassword(ctx context.Context, r rpc, d domain, vnc libvirtxml.DomainGraphicVNC, password, validTo string) error {
	vnc.Passwd, vnc.PasswdValidTo, vnc.Connected = password, validTo, "keep"
	doc, err := (&libvirtxml.DomainGraphic{VNC: &vnc}).Marshal()
	if err != nil {
		return r.errorf(providers.Internal, "the VM's screen cannot be described")
	}
	return run(ctx, r, func(c *lv.Libvirt) error { return c.DomainUpdateDeviceFlags(d.Domain, doc, lv.DomainDeviceModifyLive) })
}

// screen is where the VM's VNC server is reached: at the host that the URL names.
// Over a unix socket that is this machine.
func (e endpoint) screen(vnc *libvirtxml.DomainGraphicVNC) string {
	host := "127.0.0.1"
	if e.network == "tcp" {
		if h, _, err := net.SplitHostPort(e.address); err == nil {
			host = h
		}
	} else if ip := net.ParseIP(listenAddress(vnc)); ip != nil && !ip.IsUnspecified() {
		host = ip.String() // an address of this machine, or QEMU could not listen there
	}
	return net.JoinHostPort(host, strconv.Itoa(vnc.Port))
}

func listenAddress(vnc *libvirtxml.DomainGraphicVNC) string {
	for _, l := range vnc.Listeners {
		if l.Address != nil && l.Address.Address != "" {
			return l.Address.Address
		}
	}
	return vnc.Listen
}

// screenFailed classifies what VNC says.
func (r rpc) screenFailed(err error) error {
	var refused *rfb.RefusedError
	switch {
	case errors.As(err, &refused):
		return &providers.Error{Code: providers.Aborted, Provider: Kind, Op: r.op, Message: "the VM's screen is busy", Err: err}
	case errors.Is(err, rfb.ErrMalformed), errors.Is(err, rfb.ErrUnsupported):
		return &providers.Error{Code: providers.Unknown, Provider: Kind, Op: r.op, Message: "the VM's screen does not speak VNC as expected", Err: err}
	}
	return r.fail(err)
}
