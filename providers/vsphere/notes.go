package vsphere

import "encoding/json"

// notes are what a VM's mark remembers beside whose it is: each kind of work keeps
// its own under its own name.
type notes map[string]json.RawMessage

// with returns the notes with another value under a name; nil removes it.
func (n notes) with(name string, value any) (notes, error) {
	out := notes{}
	for k, v := range n {
		if k != name {
			out[k] = v
		}
	}
	if value == nil {
		return out, nil
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return nil, err
	}
	out[name] = raw
	return out, nil
}

// read decodes what is under a name into value, and reports whether it is there and
// is understood.
func (n notes) read(name string, value any) bool {
	raw, ok := n[name]
	return ok && json.Unmarshal(raw, value) == nil
}
