package store

import (
	"fmt"
	"net/netip"
	"slices"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/ipam"
	"github.com/hypervisor-control-plane/hcp/models"
)

// allocation takes addresses for the interfaces of one VM, in the transaction
// that takes its reservation, and after that row is written.
type allocation struct {
	s       *Store
	tx      *gorm.DB
	vm      models.Reservation
	subnets map[string][]models.Subnet // by network, in the order in which they are filled
	taken   int64
}

// takeAddresses takes an address for each interface that wants one, or whose
// network has subnets, and writes it into nics. An address that stands there is
// wanted; one that the tenant asked for is taken or refused, any other replaced
// where it is gone. It returns how many were taken. *ReferenceError,
// *AddressInUseError, *AddressesExhaustedError.
func (s *Store) takeAddresses(tx *gorm.DB, vm models.Reservation, nics []models.NIC) (int64, error) {
	a := &allocation{s: s, tx: tx, vm: vm}
	if err := a.lockSubnets(nics); err != nil {
		return 0, err
	}
	for i := range nics {
		if err := a.take(i, &nics[i]); err != nil {
			return 0, err
		}
	}
	return a.taken, nil
}

// lockSubnets locks the subnets of all networks in one order, so that two VMs
// with the same networks never wait for each other. The networks are held
// first, so that none gets a subnet, or goes, while its addresses are taken.
func (a *allocation) lockSubnets(nics []models.NIC) error {
	ids := make([]string, len(nics))
	for i, n := range nics {
		ids[i] = n.NetworkID
	}
	list := jsonArray(ids)
	var held []string
	err := a.tx.Raw("SELECT n.id FROM networks n WHERE n.id IN "+a.s.dialect.elements()+" ORDER BY n.id"+a.s.dialect.hold("n"), list).
		Scan(&held).Error
	if err != nil {
		return wrap(err, "hold the networks")
	}
	var rows []models.Subnet
	err = a.tx.Raw("SELECT s.* FROM subnets s WHERE s.network_id IN "+a.s.dialect.elements()+
		" ORDER BY s.network_id, s.created_at, s.id"+a.s.dialect.lock("s"), list).Scan(&rows).Error
	if err != nil {
		return wrap(err, "lock the subnets")
	}
	a.subnets = make(map[string][]models.Subnet, len(held))
	for _, r := range rows {
		a.subnets[r.NetworkID] = append(a.subnets[r.NetworkID], r)
	}
	return nil
}

// take takes the address of the i-th interface.
func (a *allocation) take(i int, nic *models.NIC) error {
	subnets := a.subnets[nic.NetworkID]
	if nic.IPAddress != "" {
		ok, err := a.takeWanted(i, nic, subnets)
		if err != nil || ok {
			return err
		}
		nic.IPAddress = ""
	}
	if len(subnets) == 0 {
		return nil // DHCP
	}
	for j := range subnets {
		ok, err := a.takeFree(nic, &subnets[j])
		if err != nil || ok {
			return err
		}
	}
	return &AddressesExhaustedError{Field: fmt.Sprintf("/networks/%d", i)}
}

// takeWanted takes the address that stands in the interface. ok is false for one
// that is gone and may be replaced.
func (a *allocation) takeWanted(i int, nic *models.NIC, subnets []models.Subnet) (ok bool, err error) {
	field := fmt.Sprintf("/networks/%d/ip_address", i)
	ip, err := netip.ParseAddr(nic.IPAddress)
	if err != nil {
		return false, &ReferenceError{Field: field, Detail: "must be an IP address"}
	}
	if len(subnets) == 0 && !nic.Requested {
		return false, nil // it was of a subnet that is gone
	}
	row := models.AllocatedAddress{}
	if len(subnets) > 0 {
		at := slices.IndexFunc(subnets, func(s models.Subnet) bool { return s.Prefix().Contains(ip) })
		detail := "is in none of the network's subnets"
		if at >= 0 {
			detail = unusable(subnets[at], ip)
		}
		switch {
		case detail != "" && nic.Requested:
			return false, &ReferenceError{Field: field, Detail: detail}
		case detail != "":
			return false, nil
		}
		row.SubnetID = subnets[at].ID
		if offset, counted := (ipam.Block{Prefix: subnets[at].Prefix()}).Offset(ip); counted {
			row.HostOffset = &offset
		}
	}
	ok, err = a.insert(nic, row)
	if err == nil && !ok && nic.Requested {
		err = &AddressInUseError{Field: field}
	}
	return ok, err
}

// unusable says why no interface may have an address of the subnet; empty if it may.
func unusable(s models.Subnet, ip netip.Addr) string {
	switch {
	case !(ipam.Block{Prefix: s.Prefix()}).IsHost(ip):
		return "is not the address of a host"
	case ip.String() == s.Gateway:
		return "is the gateway's"
	}
	return ""
}

// takeFree takes the lowest free address at or after the subnet's next offset,
// from its beginning again where there is none. ok is false when it is full.
func (a *allocation) takeFree(nic *models.NIC, s *models.Subnet) (ok bool, err error) {
	block := ipam.Block{Prefix: s.Prefix()}
	gateway := int64(-1)
	if ip, err := netip.ParseAddr(s.Gateway); err == nil {
		if offset, counted := block.Offset(ip); counted {
			gateway = offset
		}
	}
	offset, err := a.search(s, gateway)
	if err != nil || offset == nil {
		return false, err
	}
	nic.IPAddress = block.At(*offset).String()
	ok, err = a.insert(nic, models.AllocatedAddress{SubnetID: s.ID, HostOffset: offset})
	if err == nil && !ok {
		err = fmt.Errorf("store: subnet %s: an address is free and taken at once", s.ID)
	}
	if err != nil {
		return false, err
	}
	if s.NextOffset = *offset + 1; s.NextOffset > s.PoolEnd {
		s.NextOffset = s.PoolStart
	}
	_, err = exec(a.tx, "move the subnet's next offset", "UPDATE subnets SET next_offset = ? WHERE id = ?", s.NextOffset, s.ID)
	return err == nil, err
}

// search finds the offset to take; nil when the pool is full. Mostly the next one
// is free. If not, the addresses are counted before they are searched: a full
// subnet in front of others must not make every create look at all of it.
func (a *allocation) search(s *models.Subnet, gateway int64) (*int64, error) {
	next := min(max(s.NextOffset, s.PoolStart), s.PoolEnd)
	if next == gateway && next < s.PoolEnd {
		next++
	}
	var isTaken bool
	err := scanOne(a.tx, &isTaken, "look at the next address",
		"SELECT EXISTS (SELECT 1 FROM addresses a WHERE a.subnet_id = ? AND a.subnet_id <> '' AND a.host_offset = ?)", s.ID, next)
	if err != nil || !isTaken && next != gateway {
		return &next, err
	}
	var taken int64
	err = scanOne(a.tx, &taken, "count the subnet's addresses",
		"SELECT count(*) FROM addresses WHERE subnet_id = ? AND subnet_id <> '' AND host_offset BETWEEN ? AND ?", s.ID, s.PoolStart, s.PoolEnd)
	if err != nil {
		return nil, err
	}
	if gateway >= s.PoolStart && gateway <= s.PoolEnd {
		taken++
	}
	if taken > s.PoolEnd-s.PoolStart {
		return nil, nil //nolint:nilnil // none is no error
	}
	for _, r := range [][2]int64{{next, s.PoolEnd}, {s.PoolStart, next}} {
		if offset, err := freeOffset(a.tx, s.ID, gateway, r[0], r[1]); err != nil || offset != nil {
			return offset, err
		}
	}
	return nil, nil //nolint:nilnil // none is no error
}

// freeOffset finds the lowest free offset from one to another, both included;
// nil when all are taken. The lowest free offset is the first one, or follows
// one that is taken: so the index over what is taken finds it. The gateway is
// passed over.
func freeOffset(tx *gorm.DB, subnetID string, gateway, from, to int64) (*int64, error) {
	if from == gateway {
		from++
	}
	var free []int64
	err := tx.Raw(`SELECT CAST(? AS bigint) AS free WHERE CAST(? AS bigint) <= CAST(? AS bigint) AND NOT EXISTS (
			SELECT 1 FROM addresses a WHERE a.subnet_id = ? AND a.subnet_id <> '' AND a.host_offset = ?)`, from, from, to, subnetID, from).Scan(&free).Error
	if err == nil && len(free) == 0 {
		err = tx.Raw(`SELECT CASE WHEN a.host_offset + 1 = ? THEN a.host_offset + 2 ELSE a.host_offset + 1 END AS free
			FROM addresses a
			WHERE a.subnet_id = ? AND a.subnet_id <> '' AND a.host_offset BETWEEN ? AND ?
				AND CASE WHEN a.host_offset + 1 = ? THEN a.host_offset + 2 ELSE a.host_offset + 1 END <= ?
				AND NOT EXISTS (SELECT 1 FROM addresses b WHERE b.subnet_id = ? AND b.subnet_id <> ''
					AND b.host_offset = CASE WHEN a.host_offset + 1 = ? THEN a.host_offset + 2 ELSE a.host_offset + 1 END)
			ORDER BY a.host_offset LIMIT 1`, gateway, subnetID, from, to, gateway, to, subnetID, gateway).Scan(&free).Error
	}
	if err != nil {
		return nil, wrap(err, "look for a free address")
	}
	if len(free) == 0 {
		return nil, nil //nolint:nilnil // none is no error
	}
	return &free[0], nil
}

// insert writes the row of the interface's address; ok is false when it is taken.
func (a *allocation) insert(nic *models.NIC, row models.AllocatedAddress) (ok bool, err error) {
	n, err := exec(a.tx, "take the address", `INSERT INTO addresses
			(network_id, ip, subnet_id, host_offset, vm_id, mac, tenant_id, project_id, job_id, created_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (network_id, ip) DO NOTHING`,
		nic.NetworkID, nic.IPAddress, row.SubnetID, row.HostOffset, a.vm.VMID, nic.MAC, a.vm.TenantID, a.vm.ProjectID, a.vm.JobID, a.s.now())
	a.taken += n
	return n == 1, err
}

// returned are the interfaces of a VM whose addresses are given back; one that
// it never had, or may not have, is forgotten.
func returned(nics []models.NIC) []models.NIC {
	out := slices.DeleteFunc(slices.Clone(nics), func(n models.NIC) bool { return !n.IsDevice() })
	for i, n := range out {
		out[i].RemovingJobID = ""
		if n.IPAddress != "" {
			out[i].LastIPAddress, out[i].IPAddress = n.IPAddress, ""
		}
	}
	return out
}

// wanted are the interfaces of a VM that is to have its addresses again.
func wanted(nics []models.NIC) []models.NIC {
	out := slices.Clone(nics)
	for i, n := range out {
		if n.IPAddress == "" {
			out[i].IPAddress, out[i].LastIPAddress = n.LastIPAddress, ""
		}
	}
	return out
}
