package libvirt

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
)

// document is a definition that is changed in places. All else stays byte for
// byte, so that nothing is lost that a newer libvirt, or an operator, has put
// there. What is put in goes through encoding/xml.
type document struct {
	text    string
	root    *element
	changes []change
}

// element is where an element of a document stands: <start>inner</end>.
type element struct {
	name     xml.Name
	attrs    []xml.Attr
	parent   *element
	children []*element
	start    int // of the start tag
	inner    int // behind the start tag
	end      int // of the end tag
	after    int // behind the end tag
}

type change struct {
	from, to int
	text     string
}

var errNoElement = errors.New("the definition lacks an element that it needs to have")

func parseDocument(text string) (*document, error) {
	d := xml.NewDecoder(strings.NewReader(text))
	doc := &document{text: text}
	at := new(element)
	for {
		before := int(d.InputOffset())
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			e := &element{name: t.Name, attrs: t.Copy().Attr, parent: at, start: before, inner: int(d.InputOffset())}
			at.children = append(at.children, e)
			at = e
		case xml.EndElement:
			at.end, at.after = before, int(d.InputOffset())
			at = at.parent
		}
	}
	if len(at.children) != 1 {
		return nil, errNoElement
	}
	doc.root = at.children[0]
	return doc, nil
}

// child returns the first child of that name and namespace, nil without one.
func (e *element) child(space, local string) *element {
	if e == nil {
		return nil
	}
	i := slices.IndexFunc(e.children, func(c *element) bool { return c.name == xml.Name{Space: space, Local: local} })
	if i < 0 {
		return nil
	}
	return e.children[i]
}

func (e *element) attr(local string) string {
	if e == nil {
		return ""
	}
	for _, a := range e.attrs {
		if a.Name == (xml.Name{Local: local}) {
			return a.Value
		}
	}
	return ""
}

// content is the text of an element.
func (d *document) content(e *element) string {
	if e == nil || e.inner > e.end {
		return ""
	}
	return d.text[e.inner:e.end]
}

// setText gives an element, which is not empty, another text.
func (d *document) setText(e *element, text string) error {
	if e == nil || e.inner >= e.end {
		return errNoElement
	}
	d.changes = append(d.changes, change{e.inner, e.end, escapeXML(text)})
	return nil
}

// setAttr gives an attribute, which has no prefix and is there, another value.
func (d *document) setAttr(e *element, local, value string) error {
	if e == nil {
		return errNoElement
	}
	from, to, ok := attrSpan(d.text[e.start:e.inner], local)
	if !ok {
		return errNoElement
	}
	d.changes = append(d.changes, change{e.start + from, e.start + to, escapeXML(value)})
	return nil
}

// attrSpan finds the value of an attribute in a start tag.
func attrSpan(tag, local string) (from, to int, ok bool) {
	for at := 0; ; {
		equals := strings.IndexByte(tag[at:], '=')
		if equals < 0 {
			return 0, 0, false
		}
		name := strings.Fields(tag[at : at+equals])
		quoteAt := at + equals + strings.IndexAny(tag[at+equals:], `"'`)
		from = quoteAt + 1
		to = from + strings.IndexByte(tag[from:], tag[quoteAt])
		if len(name) > 0 && name[len(name)-1] == local {
			return from, to, true
		}
		at = to + 1
	}
}

// remove takes an element out.
func (d *document) remove(e *element) {
	if e != nil {
		d.changes = append(d.changes, change{e.start, e.after, ""})
	}
}

// add puts encoded elements at the end of an element, which is not empty.
func (d *document) add(e *element, encoded string) error {
	if e == nil || e.inner >= e.end {
		return errNoElement
	}
	d.changes = append(d.changes, change{e.end, e.end, encoded})
	return nil
}

// String is the document with its changes, which must not overlap.
func (d *document) String() string {
	changes := slices.Clone(d.changes)
	slices.SortStableFunc(changes, func(a, b change) int { return a.from - b.from })
	var out strings.Builder
	at := 0
	for _, c := range changes {
		out.WriteString(d.text[at:c.from])
		out.WriteString(c.text)
		at = c.to
	}
	out.WriteString(d.text[at:])
	return out.String()
}

func escapeXML(s string) string {
	var out bytes.Buffer
	_ = xml.EscapeText(&out, []byte(s)) // a buffer refuses nothing
	return out.String()
}
