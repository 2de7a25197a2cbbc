package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/hypervisor-control-plane/hcp/models"
)

// RDPType is the media type of a descriptor for RDP clients.
const RDPType = "application/x-rdp"

// Descriptor asks the hypervisor what a native client needs, and returns the
// file for it.
func (g *Gateway) Descriptor(ctx context.Context, t models.ConsoleTarget) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, g.limits.Dial)
	defer cancel()
	consoler, err := g.consoler(ctx, t)
	if err != nil {
		return nil, err
	}
	info, err := consoler.Consoles(ctx, targetOf(t))
	if err != nil {
		return nil, err
	}
	if t.Type != models.ConsoleRDP || !slices.Contains(info.Types, t.Type) {
		return nil, errors.New("console: the hypervisor has no descriptor of this type")
	}
	return RDPFile(info.Descriptor)
}

// Delivered records that the descriptor of a session was handed out, or, with a
// reason other than ConsoleClosedByClient, why not: the gateway sees nothing of
// the connection that may follow.
func (g *Gateway) Delivered(ctx context.Context, t models.ConsoleTarget, reason models.ConsoleEnd, size int) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordLimit)
	defer cancel()
	err := g.o.Store.EndConsole(ctx, t.ID, g.id, reason, 0, int64(size))
	g.o.Wake(ctx, t.JobID)
	return err
}

// rdpSettings are the settings of an RDP file that a hypervisor may name, with
// their types. Whatever else it names is refused: a file can make a client start
// programs and share its disks.
func rdpSettings() map[string]string {
	return map[string]string{
		"full address": "s", "server port": "i", "pcb": "s", "negotiate security layer": "i", "enablecredsspsupport": "i", "authentication level": "i",
	}
}

// RDPFile writes an RDP file. It fails on a setting that is not known, and on a
// value that would be more than one.
func RDPFile(settings map[string]string) ([]byte, error) {
	known, names := rdpSettings(), make([]string, 0, len(settings))
	for name := range settings {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	for _, name := range names {
		kind, value := known[name], settings[name]
		switch {
		case kind == "":
			return nil, errors.New("console: the hypervisor names a setting that no RDP file of ours has")
		case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r > '~' }):
			return nil, fmt.Errorf("console: the RDP setting %q is not printable text", name)
		}
		if kind == "i" {
			if _, err := strconv.ParseUint(value, 10, 16); err != nil {
				return nil, fmt.Errorf("console: the RDP setting %q is no small number", name)
			}
		}
		fmt.Fprintf(&b, "%s:%s:%s\r\n", name, kind, value)
	}
	if settings["full address"] == "" {
		return nil, errors.New("console: the hypervisor names no address")
	}
	return b.Bytes(), nil
}
