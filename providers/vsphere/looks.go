package vsphere

// lookOf is how the work of a kind is looked at, nil for a kind that is not known.
// Each family of work has its own list, beside what it does.
func (p *Provider) lookOf(kind string) look {
	for _, looks := range []func(string) look{p.lookCore, p.lookOptional} {
		if l := looks(kind); l != nil {
			return l
		}
	}
	return nil
}
