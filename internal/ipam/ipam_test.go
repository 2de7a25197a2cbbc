package ipam_test

import (
	"net/netip"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/hypervisor-control-plane/hcp/internal/ipam"
)

func TestParseFillsInThePool(t *testing.T) {
	for cidr, want := range map[string][2]string{
		"10.20.0.0/24":    {"10.20.0.1", "10.20.0.254"},
		"192.0.2.64/28":   {"192.0.2.65", "192.0.2.78"},
		"10.0.0.0/30":     {"10.0.0.1", "10.0.0.2"},
		"10.0.0.0/8":      {"10.0.0.1", "10.255.255.254"},
		"2001:db8::/126":  {"2001:db8::1", "2001:db8::3"},
		"2001:db8::/64":   {"2001:db8::1", "2001:db8:0:0:4000::"},
		"2001:db8:1::/48": {"2001:db8:1::1", "2001:db8:1:0:4000::"},
	} {
		b, err := ipam.Parse(ipam.Plan{CIDR: cidr})
		require.NoError(t, err, cidr)
		require.Equal(t, want, [2]string{b.At(b.PoolStart).String(), b.At(b.PoolEnd).String()}, cidr)
		for _, offset := range []int64{b.PoolStart, b.PoolEnd, (b.PoolStart + b.PoolEnd) / 2} {
			a := b.At(offset)
			require.True(t, b.IsHost(a), "%s in %s", a, cidr)
			back, ok := b.Offset(a)
			require.True(t, ok)
			require.Equal(t, offset, back)
		}
	}
}

func TestParseTakesWhatIsAskedFor(t *testing.T) {
	b, err := ipam.Parse(ipam.Plan{
		CIDR: "10.20.0.0/24", Gateway: "10.20.0.1", DNSServers: []string{"2001:DB8::53", "192.0.2.53"},
		PoolStart: "10.20.0.100", PoolEnd: "10.20.0.199",
	})
	require.NoError(t, err)
	require.Equal(t, ipam.Block{
		Prefix: netip.MustParsePrefix("10.20.0.0/24"), Gateway: netip.MustParseAddr("10.20.0.1"),
		DNSServers: []string{"2001:db8::53", "192.0.2.53"}, PoolStart: 100, PoolEnd: 199,
	}, b)
}

func TestParseRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		plan  ipam.Plan
		field string
	}{
		"no block":          {ipam.Plan{CIDR: "ten"}, "/cidr"},
		"one address":       {ipam.Plan{CIDR: "10.0.0.1"}, "/cidr"},
		"host bits":         {ipam.Plan{CIDR: "10.0.0.1/24"}, "/cidr"},
		"too large":         {ipam.Plan{CIDR: "0.0.0.0/0"}, "/cidr"},
		"too small":         {ipam.Plan{CIDR: "10.0.0.0/31"}, "/cidr"},
		"too small, v6":     {ipam.Plan{CIDR: "2001:db8::/127"}, "/cidr"},
		"too large, v6":     {ipam.Plan{CIDR: "2000::/16"}, "/cidr"},
		"multicast":         {ipam.Plan{CIDR: "224.0.0.0/24"}, "/cidr"},
		"loopback":          {ipam.Plan{CIDR: "127.0.0.0/24"}, "/cidr"},
		"link-local":        {ipam.Plan{CIDR: "fe80::/64"}, "/cidr"},
		"mapped":            {ipam.Plan{CIDR: "::ffff:10.0.0.0/120"}, "/cidr"},
		"gateway elsewhere": {ipam.Plan{CIDR: "10.0.0.0/24", Gateway: "10.0.1.1"}, "/gateway"},
		"gateway: network":  {ipam.Plan{CIDR: "10.0.0.0/24", Gateway: "10.0.0.0"}, "/gateway"},
		"gateway: last":     {ipam.Plan{CIDR: "10.0.0.0/24", Gateway: "10.0.0.255"}, "/gateway"},
		"gateway: text":     {ipam.Plan{CIDR: "10.0.0.0/24", Gateway: "gw"}, "/gateway"},
		"gateway: family":   {ipam.Plan{CIDR: "10.0.0.0/24", Gateway: "2001:db8::1"}, "/gateway"},
		"gateway: zone":     {ipam.Plan{CIDR: "2001:db8::/64", Gateway: "2001:db8::1%eth0"}, "/gateway"},
		"DNS server":        {ipam.Plan{CIDR: "10.0.0.0/24", DNSServers: []string{"10.0.0.2", "dns"}}, "/dns_servers/1"},
		"pool_start":        {ipam.Plan{CIDR: "10.0.0.0/24", PoolStart: "10.0.0.0"}, "/pool_start"},
		"pool_end":          {ipam.Plan{CIDR: "10.0.0.0/24", PoolEnd: "10.0.0.255"}, "/pool_end"},
		"pool_end too far":  {ipam.Plan{CIDR: "2001:db8::/64", PoolEnd: "2001:db8::ffff:ffff:ffff:ffff"}, "/pool_end"},
		"empty pool":        {ipam.Plan{CIDR: "10.0.0.0/24", PoolStart: "10.0.0.9", PoolEnd: "10.0.0.8"}, "/pool_end"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := ipam.Parse(c.plan)
			var field *ipam.FieldError
			require.ErrorAs(t, err, &field)
			require.Equal(t, c.field, field.Field)
		})
	}
}

func TestHosts(t *testing.T) {
	b, err := ipam.Parse(ipam.Plan{CIDR: "10.0.0.0/28"})
	require.NoError(t, err)
	for address, want := range map[string]bool{
		"10.0.0.0": false, "10.0.0.1": true, "10.0.0.14": true, "10.0.0.15": false, "10.0.0.16": false, "9.255.255.255": false,
		"::ffff:10.0.0.5": false, "2001:db8::1": false,
	} {
		require.Equal(t, want, b.IsHost(netip.MustParseAddr(address)), address)
	}
	far, err := ipam.Parse(ipam.Plan{CIDR: "2001:db8::/32"})
	require.NoError(t, err)
	require.True(t, far.IsHost(netip.MustParseAddr("2001:db8:ffff::1")), "a host may stand beyond every pool")
}

// FuzzOffset: an address and its offset say the same.
func FuzzOffset(f *testing.F) {
	f.Add("10.0.0.0/8", int64(70000))
	f.Add("2001:db8::/64", int64(1)<<61)
	f.Fuzz(func(t *testing.T, cidr string, offset int64) {
		b, err := ipam.Parse(ipam.Plan{CIDR: cidr})
		if err != nil || offset < b.PoolStart || offset > b.PoolEnd {
			return
		}
		a := b.At(offset)
		require.True(t, b.Prefix.Contains(a))
		back, ok := b.Offset(a)
		require.True(t, ok)
		require.Equal(t, offset, back)
	})
}
