package activities

import "strings"

// maxLabel is the length of a DNS label, RFC 1035 section 2.3.4.
const maxLabel = 63

// hostname makes a DNS label of a VM's name: lower case, runs of anything else
// than letters and digits become one hyphen. A name that leaves nothing is
// replaced by one made of the VM's ID.
func hostname(name, vmID string) string {
	if h := label(name); h != "" {
		return h
	}
	return label("vm-" + vmID)
}

func label(s string) string {
	var b strings.Builder
	gap := false
	for _, r := range strings.ToLower(s) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			if gap && b.Len() > 0 {
				b.WriteByte('-')
			}
			gap = false
			b.WriteRune(r)
			continue
		}
		gap = true
	}
	h := b.String()
	if len(h) > maxLabel {
		h = h[:maxLabel]
	}
	return strings.Trim(h, "-")
}
