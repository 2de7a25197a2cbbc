package libvirt

import (
	"context"

	lv "github.com/digitalocean/go-libvirt"

	"github.com/hypervisor-control-plane/hcp/providers"
)

// definition reads what a domain starts with next time, with its secrets, so
// that defining it again loses none.
func definition(ctx context.Context, r rpc, dom lv.Domain) (*document, error) {
	text, err := do(ctx, r, func(c *lv.Libvirt) (string, error) {
		return c.DomainGetXMLDesc(dom, lv.DomainXMLInactive|lv.DomainXMLSecure)
	})
	if err != nil {
		return nil, err
	}
	doc, err := parseDocument(text)
	if err != nil {
		return nil, r.fail(err)
	}
	return doc, nil
}

// redefine puts a changed definition in the place of the old one.
func redefine(ctx context.Context, r rpc, doc *document) error {
	return run(ctx, r, func(c *lv.Libvirt) error {
		_, err := c.DomainDefineXMLFlags(doc.String(), 0)
		return err
	})
}

// setMetadata writes an element of ours into a domain, or removes it where there
// is none to write. A domain that runs has it in both of its descriptions.
func setMetadata(ctx context.Context, r rpc, dom lv.Domain, encoded lv.OptString, prefix, namespace string) error {
	return run(ctx, r, func(c *lv.Libvirt) error { return putMetadata(c, dom, encoded, prefix, namespace) })
}

func putMetadata(c *lv.Libvirt, dom lv.Domain, encoded lv.OptString, prefix, namespace string) error {
	active, err := c.DomainIsActive(dom)
	if err != nil {
		return err
	}
	flags := lv.DomainAffectConfig
	if active == 1 {
		flags |= lv.DomainAffectLive
	}
	return c.DomainSetMetadata(dom, int32(lv.DomainMetadataElement), encoded, lv.OptString{prefix}, lv.OptString{namespace}, flags)
}

// disk returns the disk of a definition that appears as target.
func (d *document) disk(target string) *element {
	devices := d.root.child("", "devices")
	if devices == nil {
		return nil
	}
	for _, e := range devices.children {
		if e.name.Local == "disk" && e.child("", "target").attr("dev") == target {
			return e
		}
	}
	return nil
}

// diskOf returns the disk of a definition whose file is path.
func (d *document) diskOf(path string) *element {
	devices := d.root.child("", "devices")
	if devices == nil {
		return nil
	}
	for _, e := range devices.children {
		if e.name.Local == "disk" && e.child("", "source").attr("file") == path {
			return e
		}
	}
	return nil
}

// setBootDisks gives a definition another root disk and medium, its record of
// how the root disk was made, and of the rebuild that is not finished, if any.
func (d *document) setBootDisks(now, next bootDisks, m mark) error {
	metadata := d.root.child("", "metadata")
	if err := d.setText(metadata.child(markNamespace, "vm").child(markNamespace, "clone_mode"), string(m.CloneMode)); err != nil {
		return err
	}
	if err := d.setAttr(d.disk(rootTarget).child("", "source"), "file", next.root); err != nil {
		return err
	}
	if err := d.setAttr(d.diskOf(now.seed).child("", "source"), "file", next.seed); err != nil {
		return err
	}
	d.remove(metadata.child(rebuildNamespace, "rebuild"))
	if m.Rebuild.Token == "" {
		return nil
	}
	encoded, err := m.Rebuild.encode()
	if err != nil {
		return err
	}
	return d.add(metadata, encoded)
}

// mismatch says that libvirt took a change and then does not have it.
func (r rpc) mismatch() error {
	return r.errorf(providers.Unknown, "the hypervisor did not take the change")
}
