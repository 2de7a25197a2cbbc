package proxmox

import (
	"errors"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// errProperty says that a text cannot stand in a property string.
var errProperty = errors.New("a value cannot be written as a property")

// properties are a property string of Proxmox VE ("virtio=52:54:00:00:00:01,
// bridge=vmbr0"), in its order. The first value may lack its key, which is then
// "": the volume of a disk.
type properties []property

type property struct{ key, value string }

// parseProperties reads a property string. It never fails: what is no pair is a
// value without a key.
func parseProperties(s string) properties {
	var out properties
	for part := range strings.SplitSeq(s, ",") {
		if part == "" {
			continue
		}
		key, value, ok := strings.Cut(part, "=")
		if !ok {
			key, value = "", part
		}
		out = append(out, property{key, value})
	}
	return out
}

// get returns the value of a key, "" for none.
func (ps properties) get(key string) string {
	for _, p := range ps {
		if p.key == key {
			return p.value
		}
	}
	return ""
}

// with returns the properties with a key set; an empty value removes it.
func (ps properties) with(key, value string) properties {
	out := slices.Clone(ps)
	at := slices.IndexFunc(out, func(p property) bool { return p.key == key })
	switch {
	case value == "" && at >= 0:
		return slices.Delete(out, at, at+1)
	case value == "":
		return out
	case at >= 0:
		out[at].value = value
		return out
	}
	return append(out, property{key, value})
}

// encode refuses every value that would be structure: Proxmox VE has no way to
// quote a comma.
func (ps properties) encode() (string, error) {
	parts := make([]string, len(ps))
	for i, p := range ps {
		if !isPropertyValue(p.value) || !isPropertyKey(p.key) || (p.key == "" && (i > 0 || strings.Contains(p.value, "="))) {
			return "", errProperty
		}
		parts[i] = p.key + "=" + p.value
		if p.key == "" {
			parts[i] = p.value
		}
	}
	return strings.Join(parts, ","), nil
}

func isPropertyKey(s string) bool {
	return isOf(s, alphanumeric+"_-")
}

const alphanumeric = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

// isOf reports whether s has no character but those of the set.
func isOf(s, set string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return !strings.ContainsRune(set, r) })
}

func isPropertyValue(s string) bool {
	return s != "" && utf8.ValidString(s) && !strings.ContainsFunc(s, func(r rune) bool {
		return r == ',' || unicode.IsSpace(r) || !unicode.IsPrint(r)
	})
}

// isDNSName reports whether s is a name as Proxmox VE takes it for a VM: labels
// of letters, digits and inner hyphens.
func isDNSName(s string) bool {
	if s == "" || len(s) > 253 {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") || !isDNSLabel(label) {
			return false
		}
	}
	return true
}

func isDNSLabel(s string) bool {
	return isOf(s, alphanumeric+"-")
}

// dnsName makes a DNS label that reminds of a text, or fallback where nothing
// of it can stay.
func dnsName(text, fallback string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9':
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
		if b.Len() >= 63 {
			break
		}
	}
	if out := strings.Trim(b.String(), "-"); out != "" {
		return out
	}
	return fallback
}
