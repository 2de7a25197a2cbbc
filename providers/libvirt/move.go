package libvirt

import (
	"context"
	"encoding/xml"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/models"
	"github.com/hypervisor-control-plane/hcp/providers"
)

// While a VM may be on two hosts, its domain says so: a migration writes a note
// into the metadata before it begins, the note travels with the domain, and
// goes when one whole copy is left. So
//
//   - a copy without a note is the only one, whatever the other hosts say or
//     fail to say;
//   - with a note, whoever looks knows which two hosts to ask, and any process
//     can follow, end or clean up.

const (
	moveNamespace = "urn:hypervisor-control-plane:libvirt:move:1"
	movePrefix    = "hcpmove"
)

// move is the note of a migration.
type move struct {
	From, To string // names of hosts
	Live     bool
}

type moveXML struct {
	XMLName xml.Name `xml:"move"`
	From    string   `xml:"from,attr"`
	To      string   `xml:"to,attr"`
	Live    bool     `xml:"live,attr"`
}

func (m move) encode() (string, error) {
	b, err := xml.Marshal(moveXML{From: m.From, To: m.To, Live: m.Live})
	return string(b), err
}

// decodeMove reads the note from what is inside a domain's metadata element,
// nil where there is none.
func decodeMove(inner string) *move {
	var doc struct {
		Move *struct {
			From string `xml:"from,attr"`
			To   string `xml:"to,attr"`
			Live bool   `xml:"live,attr"`
		} `xml:"urn:hypervisor-control-plane:libvirt:move:1 move"`
	}
	if err := xml.Unmarshal([]byte("<metadata>"+inner+"</metadata>"), &doc); err != nil || doc.Move == nil {
		return nil
	}
	return &move{From: doc.Move.From, To: doc.Move.To, Live: doc.Move.Live}
}

// sighting is what one host has under a VM's ID.
type sighting struct {
	present bool   // a domain of ours
	foreign bool   // a domain of somebody else's
	domain  domain // where present
	move    *move
	state   lv.DomainState
	reason  int32
	saved   bool // its memory is kept in a file of the host's
}

// look reads a host. A host without such a domain is no error.
func (h *host) look(ctx context.Context, op, vmID string) (sighting, error) {
	r := h.p.rpc(op)
	u, ok := parseVMID(vmID)
	if !ok {
		return sighting{}, h.p.ready(ctx, r)
	}
	dom, err := do(ctx, r, func(c *lv.Libvirt) (lv.Domain, error) { return c.DomainLookupByUUID(u) })
	if isNotFound(err) {
		return sighting{}, nil
	}
	if err != nil {
		return sighting{}, err
	}
	x, err := readDomain(ctx, r, dom)
	if isNotFound(err) {
		return sighting{}, nil
	}
	if err != nil {
		return sighting{}, err
	}
	d, err := h.p.inspect(ctx, r, dom)
	if isNotFound(err) {
		return sighting{foreign: true}, nil
	}
	if err != nil {
		return sighting{}, err
	}
	s := sighting{present: true, domain: d, move: decodeMove(x.Metadata.XML)}
	type state struct{ code, reason int32 }
	now, err := do(ctx, r, func(c *lv.Libvirt) (state, error) {
		code, reason, err := c.DomainGetState(dom, 0)
		return state{code, reason}, err
	})
	s.state, s.reason = lv.DomainState(now.code), now.reason
	if err == nil && s.state == lv.DomainShutoff {
		var p models.PowerState
		p, err = power(ctx, r, dom)
		s.saved = p == models.PowerSuspended
	}
	if isNotFound(err) {
		return sighting{}, nil
	}
	return s, err
}

func (s sighting) power() models.PowerState { return powerOf(s.state, s.saved) }

// runs reports whether the copy's guest is at work.
func (s sighting) runs() bool { return s.present && s.power() == models.PowerRunning }

// isHeld reports whether the copy was paused by a migration, not by anybody who
// wanted it paused.
func (s sighting) isHeld() bool {
	if s.state != lv.DomainPaused {
		return false
	}
	switch lv.DomainPausedReason(s.reason) {
	case lv.DomainPausedMigration, lv.DomainPausedStartingUp, lv.DomainPausedPostcopy, lv.DomainPausedPostcopyFailed:
		return true
	case lv.DomainPausedUnknown, lv.DomainPausedUser, lv.DomainPausedSave, lv.DomainPausedDump, lv.DomainPausedIoerror,
		lv.DomainPausedWatchdog, lv.DomainPausedFromSnapshot, lv.DomainPausedShuttingDown, lv.DomainPausedSnapshot,
		lv.DomainPausedCrashed, lv.DomainPausedAPIError:
		return false
	}
	return false
}

// isLeaving reports whether the host at work on sending the copy away.
func (h *host) isLeaving(ctx context.Context, op string, s sighting) (progress int, busy bool, err error) {
	if !s.present || s.move == nil || s.move.From != h.name || s.state == lv.DomainShutoff {
		return 0, false, nil
	}
	type job struct {
		kind              int32
		total, transfered uint64
	}
	j, err := do(ctx, h.p.rpc(op), func(c *lv.Libvirt) (job, error) {
		kind, _, _, total, done, _, _, _, _, _, _, _, err := c.DomainGetJobInfo(s.domain.Domain)
		return job{kind, total, done}, err
	})
	if hasCode(err, providers.FailedPrecondition, providers.NotFound) {
		return 0, false, nil // it stopped, or is gone
	}
	if err != nil {
		return 0, false, err
	}
	switch lv.DomainJobType(j.kind) {
	case lv.DomainJobBounded, lv.DomainJobUnbounded:
		return int(min(99, j.transfered*100/max(j.total, 1))), true, nil //nolint:gosec // at most 99
	case lv.DomainJobNone, lv.DomainJobCompleted, lv.DomainJobFailed, lv.DomainJobCancelled:
	}
	return 0, false, nil
}

// note writes the note of a migration, and nil removes it.
func (h *host) note(ctx context.Context, op string, s sighting, m *move) error {
	r := h.p.rpc(op)
	var doc lv.OptString
	if m != nil {
		text, err := m.encode()
		if err != nil {
			return r.fail(err)
		}
		doc = lv.OptString{text}
	}
	flags := lv.DomainAffectConfig
	if s.state != lv.DomainShutoff && s.state != lv.DomainCrashed {
		flags |= lv.DomainAffectLive
	}
	err := run(ctx, r, func(c *lv.Libvirt) error {
		return c.DomainSetMetadata(s.domain.Domain, int32(lv.DomainMetadataElement), doc,
			lv.OptString{movePrefix}, lv.OptString{moveNamespace}, flags)
	})
	if m == nil && isNotFound(err) {
		return nil
	}
	return err
}
