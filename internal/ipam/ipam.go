// Package ipam is the arithmetic of subnets: which addresses a block has, which
// of them may be given out, and where they stand.
//
// It knows neither the database nor the API.
package ipam

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"net/netip"
)

// MaxOffset bounds the offsets that a pool may have: a block of IPv6 holds more
// addresses than a database counts, and than anyone has interfaces.
const MaxOffset = int64(1) << 62

// The lengths of the prefixes that a subnet may have. The longest leave room
// for the network's own address, a gateway and a guest.
const (
	minBits4, maxBits4 = 8, 30
	minBits6, maxBits6 = 32, 126
)

// FieldError says which field of a subnet is wrong. Field is a JSON pointer.
type FieldError struct{ Field, Detail string }

func (e *FieldError) Error() string { return e.Field + ": " + e.Detail }

// Plan is a subnet as it is asked for; all but CIDR may be empty.
type Plan struct {
	CIDR, Gateway      string
	DNSServers         []string
	PoolStart, PoolEnd string
}

// Block is a subnet that is well-formed. Offsets count from its first address.
type Block struct {
	Prefix netip.Prefix
	// Gateway is the zero address for none.
	Gateway    netip.Addr
	DNSServers []string
	// PoolStart and PoolEnd are the first and the last offset that is given out unasked.
	PoolStart, PoolEnd int64
}

// Parse checks a plan and fills in the pool: without one, it is every address
// that a host may have. *FieldError.
func Parse(p Plan) (Block, error) {
	prefix, err := parsePrefix(p.CIDR)
	if err != nil {
		return Block{}, err
	}
	b := Block{Prefix: prefix}
	b.PoolStart, b.PoolEnd = firstHost, b.lastHost()
	if p.Gateway != "" {
		if b.Gateway, _, err = b.host("/gateway", p.Gateway); err != nil {
			return Block{}, err
		}
	}
	for i, s := range p.DNSServers {
		a, err := netip.ParseAddr(s)
		if err != nil || a.Zone() != "" || !a.IsValid() || a.IsUnspecified() || a.IsMulticast() {
			return Block{}, &FieldError{fmt.Sprintf("/dns_servers/%d", i), "must be the IP address of one host"}
		}
		b.DNSServers = append(b.DNSServers, a.Unmap().String())
	}
	if p.PoolStart != "" {
		if _, b.PoolStart, err = b.host("/pool_start", p.PoolStart); err != nil {
			return Block{}, err
		}
	}
	if p.PoolEnd != "" {
		if _, b.PoolEnd, err = b.host("/pool_end", p.PoolEnd); err != nil {
			return Block{}, err
		}
	}
	if b.PoolEnd < b.PoolStart {
		return Block{}, &FieldError{"/pool_end", "must not be before pool_start"}
	}
	return b, nil
}

func parsePrefix(cidr string) (netip.Prefix, error) {
	bad := func(detail string) (netip.Prefix, error) { return netip.Prefix{}, &FieldError{"/cidr", detail} }
	p, err := netip.ParsePrefix(cidr)
	switch {
	case err != nil || p.Addr().Is4In6():
		return bad("must be a block of addresses, as in 10.20.0.0/24")
	case p != p.Masked():
		return bad("must begin with the first address of the block: " + p.Masked().String())
	case p.Addr().Is4() && (p.Bits() < minBits4 || p.Bits() > maxBits4):
		return bad(fmt.Sprintf("the prefix length must be %d to %d", minBits4, maxBits4))
	case p.Addr().Is6() && (p.Bits() < minBits6 || p.Bits() > maxBits6):
		return bad(fmt.Sprintf("the prefix length must be %d to %d", minBits6, maxBits6))
	case p.Addr().IsMulticast() || p.Addr().IsLoopback() || p.Addr().IsUnspecified() || p.Addr().IsLinkLocalUnicast():
		return bad("must be a block of addresses that hosts may have")
	}
	return p, nil
}

// host reads an address that must be one of the block's hosts.
func (b Block) host(field, s string) (netip.Addr, int64, error) {
	a, err := netip.ParseAddr(s)
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, 0, &FieldError{field, "must be an IP address"}
	}
	if !b.IsHost(a) {
		return netip.Addr{}, 0, &FieldError{field, "must be the address of a host in the subnet"}
	}
	offset, ok := b.Offset(a)
	if !ok {
		return netip.Addr{}, 0, &FieldError{field, "is too far from the beginning of the subnet"}
	}
	return a, offset, nil
}

// firstHost is the offset of the first address that a host may have: the first
// one of a block is the network itself (IPv4) or any router of it (IPv6).
const firstHost = 1

// lastHost is the offset of the last address that a host may have: the last one
// of a block of IPv4 is its broadcast address.
func (b Block) lastHost() int64 {
	hostBits := b.Prefix.Addr().BitLen() - b.Prefix.Bits()
	switch {
	case hostBits >= 62:
		return MaxOffset
	case b.Prefix.Addr().Is4():
		return int64(1)<<hostBits - 2
	}
	return int64(1)<<hostBits - 1
}

// IsHost reports whether a host of the block may have the address.
func (b Block) IsHost(a netip.Addr) bool {
	if !b.Prefix.Contains(a) || a == b.Prefix.Addr() {
		return false
	}
	offset, ok := b.Offset(a)
	return !ok || !a.Is4() || offset <= b.lastHost()
}

// Offset is where an address of the block stands; ok is false beyond MaxOffset.
func (b Block) Offset(a netip.Addr) (offset int64, ok bool) {
	baseHigh, baseLow := halves(b.Prefix.Addr())
	high, low := halves(a)
	low, borrow := bits.Sub64(low, baseLow, 0)
	high, _ = bits.Sub64(high, baseHigh, borrow)
	if high != 0 || low > uint64(MaxOffset) {
		return 0, false
	}
	return int64(low), true
}

// At is the address at an offset.
func (b Block) At(offset int64) netip.Addr {
	high, low := halves(b.Prefix.Addr())
	low, carry := bits.Add64(low, uint64(offset), 0) //nolint:gosec // offsets are not negative
	high, _ = bits.Add64(high, 0, carry)
	var raw [16]byte
	binary.BigEndian.PutUint64(raw[:8], high)
	binary.BigEndian.PutUint64(raw[8:], low)
	a := netip.AddrFrom16(raw)
	if b.Prefix.Addr().Is4() {
		return a.Unmap()
	}
	return a
}

func halves(a netip.Addr) (high, low uint64) {
	raw := a.As16()
	return binary.BigEndian.Uint64(raw[:8]), binary.BigEndian.Uint64(raw[8:])
}
