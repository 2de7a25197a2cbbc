package store

import (
	"context"
	"errors"
	"net/netip"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/internal/ipam"
	"github.com/hypervisor-control-plane/hcp/models"
)

// CreateSubnet is a subnet to add to a network.
type CreateSubnet struct {
	ID        string // a slug; empty for a generated one
	NetworkID string
	ipam.Plan
}

// SubnetUsage is a subnet with how many of its addresses are taken.
type SubnetUsage struct {
	models.Subnet
	Allocated int64
}

// CreateSubnet adds a subnet to a network; what VMs hold of it already is
// counted to it. Errors: models.ErrNotFound (the network), *ReferenceError,
// *NameConflictError, *IdempotencyError. The answer comes back with whether it
// is a replayed one.
func (s *Store) CreateSubnet(
	ctx context.Context, _ Caller, in CreateSubnet, idem *Idempotency, respond func(SubnetUsage) (Answer, error),
) (answer Answer, replayed bool, err error) {
	id, err := catalogID(in.ID)
	if err != nil {
		return Answer{}, false, err
	}
	block, err := ipam.Parse(in.Plan)
	var field *ipam.FieldError
	if errors.As(err, &field) {
		return Answer{}, false, &ReferenceError{Field: field.Field, Detail: field.Detail}
	}
	if err != nil {
		return Answer{}, false, err
	}
	row := models.Subnet{
		ID: id, NetworkID: in.NetworkID, CIDR: block.Prefix.String(), DNSServers: block.DNSServers,
		PoolStart: block.PoolStart, PoolEnd: block.PoolEnd, NextOffset: block.PoolStart, CreatedAt: s.now(),
	}
	if block.Gateway.IsValid() {
		row.Gateway = block.Gateway.String()
	}
	err = s.tx(ctx, func(tx *gorm.DB) error {
		// A replay of the key's answer goes before a refusal: the subnet that it
		// made may stand in its own way now, or its network be gone.
		adopted, refused := s.placeSubnet(tx, row)
		if refused != nil && !errors.As(refused, new(*ReferenceError)) && !errors.Is(refused, models.ErrNotFound) {
			return refused
		}
		if answer, err = respond(SubnetUsage{Subnet: row, Allocated: int64(len(adopted))}); err != nil {
			return err
		}
		stored, replay, err := s.claim(tx, idem, "", answer)
		if err != nil {
			return err
		}
		if replayed = replay; replay {
			answer = stored
			return nil
		}
		if refused != nil {
			return refused
		}
		fresh := row
		if err := createRow(tx, &fresh); err != nil {
			return err
		}
		return adopt(tx, row.ID, adopted)
	})
	if err != nil {
		return Answer{}, false, err
	}
	return answer, replayed, nil
}

// placeSubnet holds the network, so that nobody takes an address of it
// meanwhile, and finds the addresses that were taken before it had the subnet.
func (s *Store) placeSubnet(tx *gorm.DB, row models.Subnet) (adopted []models.AllocatedAddress, err error) {
	var id string
	err = scanOne(tx, &id, "lock the network", "SELECT n.id FROM networks n WHERE n.id = ? AND n.deleted_at IS NULL"+s.dialect.seize("n"), row.NetworkID)
	if err != nil {
		return nil, err
	}
	var others []models.Subnet
	if err := tx.Where("network_id = ?", row.NetworkID).Find(&others).Error; err != nil {
		return nil, wrap(err, "read the network's subnets")
	}
	for _, o := range others {
		if o.Prefix().Overlaps(row.Prefix()) {
			return nil, &ReferenceError{Field: "/cidr", Detail: "overlaps the subnet " + o.CIDR + " of the network"}
		}
	}
	var loose []models.AllocatedAddress
	if err := tx.Where("network_id = ? AND subnet_id = ''", row.NetworkID).Find(&loose).Error; err != nil {
		return nil, wrap(err, "read the network's addresses")
	}
	block := ipam.Block{Prefix: row.Prefix()}
	for _, l := range loose {
		ip, err := netip.ParseAddr(l.IP)
		if err != nil || !block.Prefix.Contains(ip) {
			continue
		}
		if l.IP == row.Gateway {
			return nil, &ReferenceError{Field: "/gateway", Detail: "a VM has this address"}
		}
		if offset, counted := block.Offset(ip); counted {
			l.HostOffset = &offset
		}
		adopted = append(adopted, l)
	}
	return adopted, nil
}

func adopt(tx *gorm.DB, subnetID string, adopted []models.AllocatedAddress) error {
	for _, a := range adopted {
		_, err := exec(tx, "count the address to the subnet", "UPDATE addresses SET subnet_id = ?, host_offset = ? WHERE network_id = ? AND ip = ?",
			subnetID, a.HostOffset, a.NetworkID, a.IP)
		if err != nil {
			return err
		}
	}
	return nil
}

// DeleteSubnet removes a subnet of which no address is taken. A subnet never
// changes: its generation is 1. Errors: models.ErrNotFound, *InUseError,
// *PreconditionError, *IdempotencyError.
func (s *Store) DeleteSubnet(
	ctx context.Context, _ Caller, networkID, subnetID string, ifMatch *int, idem *Idempotency, answer Answer,
) (out Answer, replayed bool, err error) {
	err = s.tx(ctx, func(tx *gorm.DB) error {
		stored, replay, err := s.claim(tx, idem, "", answer)
		if err != nil {
			return err
		}
		if out, replayed = answer, replay; replay {
			out = stored
			return nil
		}
		var id string
		err = scanOne(tx, &id, "lock the subnet",
			"SELECT s.id FROM subnets s WHERE s.id = ? AND s.network_id = ?"+s.dialect.seize("s"), subnetID, networkID)
		if err != nil {
			return err
		}
		if ifMatch != nil && *ifMatch != 1 {
			return &PreconditionError{Generation: 1}
		}
		n, err := exec(tx, "delete the subnet", `DELETE FROM subnets WHERE id = ?
			AND NOT EXISTS (SELECT 1 FROM addresses a WHERE a.subnet_id = ? AND a.subnet_id <> '')`, subnetID, subnetID)
		if err == nil && n == 0 {
			err = &InUseError{Detail: "addresses of the subnet are taken"}
		}
		return err
	})
	if err != nil {
		return Answer{}, false, err
	}
	return out, replayed, nil
}

// GetSubnet reads a subnet of a network. models.ErrNotFound.
func (s *Store) GetSubnet(ctx context.Context, networkID, subnetID string) (SubnetUsage, error) {
	rows, err := findSubnets(s.read(ctx).Where("subnets.id = ? AND subnets.network_id = ?", subnetID, networkID))
	if err != nil {
		return SubnetUsage{}, wrap(err, "read the subnet")
	}
	if len(rows) == 0 {
		return SubnetUsage{}, models.ErrNotFound
	}
	return rows[0], nil
}

// ListSubnets lists the subnets of a network in the order in which they are
// filled. models.ErrNotFound when there is no such network.
func (s *Store) ListSubnets(ctx context.Context, networkID string, p Page) ([]SubnetUsage, Cursor, error) {
	rows, next, err := listPage(s.read(ctx).Where("subnets.network_id = ?", networkID), listing[SubnetUsage]{
		table: "subnets", order: SortOldest, sorts: []Sort{SortOldest}, find: findSubnets,
		placeOf: func(r SubnetUsage) place { return place{createdAt: r.CreatedAt, id: r.ID} },
	}, p)
	return rows, next, s.needsNetwork(ctx, networkID, len(rows), err)
}

// ListAddresses lists the addresses of a network that are taken, oldest first.
// models.ErrNotFound when there is no such network.
func (s *Store) ListAddresses(ctx context.Context, networkID string, p Page) ([]models.AllocatedAddress, Cursor, error) {
	rows, next, err := listPage(s.read(ctx).Where("addresses.network_id = ?", networkID), listing[models.AllocatedAddress]{
		table: "addresses", key: "ip", order: SortOldest, sorts: []Sort{SortOldest}, find: findRows[models.AllocatedAddress],
		placeOf: func(r models.AllocatedAddress) place { return place{createdAt: r.CreatedAt, id: r.IP} },
	}, p)
	return rows, next, s.needsNetwork(ctx, networkID, len(rows), err)
}

// needsNetwork tells an empty list from that of a network that is not there.
func (s *Store) needsNetwork(ctx context.Context, networkID string, rows int, err error) error {
	if err != nil || rows > 0 {
		return err
	}
	_, err = getRow[models.Network](s.read(ctx), networkID)
	return err
}

func findSubnets(q *gorm.DB) (rows []SubnetUsage, err error) {
	err = q.Model(&models.Subnet{}).
		Select("subnets.*, (SELECT count(*) FROM addresses a WHERE a.subnet_id = subnets.id AND a.subnet_id <> '') AS allocated").
		Scan(&rows).Error
	return rows, err
}

// inOrder gives subnets the order in which they are filled.
func inOrder(q *gorm.DB) *gorm.DB { return q.Order("network_id, created_at, id") }

// forgetNetwork removes the subnets of a network that no VM is on.
func forgetNetwork(tx *gorm.DB, networkID string) error {
	_, err := exec(tx, "remove the network's subnets", "DELETE FROM subnets WHERE network_id = ?", networkID)
	return err
}
