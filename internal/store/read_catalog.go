package store

import (
	"context"

	"gorm.io/gorm"

	"github.com/hypervisor-control-plane/hcp/models"
)

// getRow reads one row by ID. models.ErrNotFound.
func getRow[T any](q *gorm.DB, id string) (T, error) {
	var row T
	err := q.Take(&row, "id = ?", id).Error
	return row, found(err, "read the row")
}

// present is the handle for reads of rows that can be retired, without those
// that are.
func (s *Store) present(ctx context.Context) *gorm.DB { return s.read(ctx).Where(present) }

// GetProject reads a project of the tenant. models.ErrNotFound when there is
// none, or when it is another's.
func (s *Store) GetProject(ctx context.Context, tenantID, projectID string) (models.Project, error) {
	return getRow[models.Project](s.present(ctx).Where("tenant_id = ?", tenantID), projectID)
}

// GetProjectAny reads any project, for operators.
func (s *Store) GetProjectAny(ctx context.Context, projectID string) (models.Project, error) {
	return getRow[models.Project](s.present(ctx), projectID)
}

// ListProjects lists a tenant's projects by name.
func (s *Store) ListProjects(ctx context.Context, tenantID string, p Page) ([]models.Project, Cursor, error) {
	return listNamed(s.present(ctx).Where("tenant_id = ?", tenantID), "projects", p, projectPlace)
}

// ListProjectsOf is ListProjects for who may see into these projects only; nil
// is all of the tenant's.
func (s *Store) ListProjectsOf(ctx context.Context, tenantID string, projectIDs []string, p Page) ([]models.Project, Cursor, error) {
	q := s.present(ctx).Where("tenant_id = ?", tenantID)
	if projectIDs != nil {
		q = q.Where("id IN "+s.dialect.elements(), jsonArray(projectIDs))
	}
	return listNamed(q, "projects", p, projectPlace)
}

// ListProjectsAny lists all projects by name, for operators.
func (s *Store) ListProjectsAny(ctx context.Context, p Page) ([]models.Project, Cursor, error) {
	return listNamed(s.present(ctx), "projects", p, projectPlace)
}

// GetTenant reads a tenant.
func (s *Store) GetTenant(ctx context.Context, id string) (models.Tenant, error) {
	return getRow[models.Tenant](s.present(ctx), id)
}

// ListTenants lists the tenants by name.
func (s *Store) ListTenants(ctx context.Context, p Page) ([]models.Tenant, Cursor, error) {
	return listNamed(s.present(ctx), "tenants", p, func(t models.Tenant) place { return place{t.CreatedAt, t.Name, t.ID} })
}

// GetZone reads a zone.
func (s *Store) GetZone(ctx context.Context, id string) (models.Zone, error) {
	return getRow[models.Zone](s.present(ctx), id)
}

// ListZones lists the zones by name.
func (s *Store) ListZones(ctx context.Context, p Page) ([]models.Zone, Cursor, error) {
	return listNamed(s.present(ctx), "zones", p, func(z models.Zone) place { return place{z.CreatedAt, z.Name, z.ID} })
}

// GetFlavor reads a flavor.
func (s *Store) GetFlavor(ctx context.Context, id string) (models.Flavor, error) {
	return getRow[models.Flavor](s.present(ctx), id)
}

// ListFlavors lists the flavors by name.
func (s *Store) ListFlavors(ctx context.Context, p Page) ([]models.Flavor, Cursor, error) {
	return listNamed(s.present(ctx), "flavors", p, func(f models.Flavor) place { return place{f.CreatedAt, f.Name, f.ID} })
}

// GetImage reads an image with its bindings.
func (s *Store) GetImage(ctx context.Context, id string) (models.Image, error) {
	return getRow[models.Image](s.present(ctx).Preload("Bindings", byPlace), id)
}

// ListImages lists the images by name, with their bindings.
func (s *Store) ListImages(ctx context.Context, p Page) ([]models.Image, Cursor, error) {
	return listNamed(s.present(ctx).Preload("Bindings", byPlace), "images", p,
		func(i models.Image) place { return place{i.CreatedAt, i.Name, i.ID} })
}

// GetNetwork reads a network with its bindings and subnets.
func (s *Store) GetNetwork(ctx context.Context, id string) (models.Network, error) {
	return getRow[models.Network](s.present(ctx).Preload("Bindings", byPlace).Preload("Subnets", inOrder), id)
}

// ListNetworks lists the networks by name, with their bindings and subnets.
func (s *Store) ListNetworks(ctx context.Context, p Page) ([]models.Network, Cursor, error) {
	return listNamed(s.present(ctx).Preload("Bindings", byPlace).Preload("Subnets", inOrder), "networks", p,
		func(n models.Network) place { return place{n.CreatedAt, n.Name, n.ID} })
}

// GetCluster reads a cluster.
func (s *Store) GetCluster(ctx context.Context, id string) (models.Cluster, error) {
	return getRow[models.Cluster](s.read(ctx), id)
}

// ListClusters lists clusters by name, of one provider unless providerID is empty.
func (s *Store) ListClusters(ctx context.Context, providerID string, p Page) ([]models.Cluster, Cursor, error) {
	return listNamed(ofProvider(s.read(ctx), providerID), "clusters", p,
		func(c models.Cluster) place { return place{c.CreatedAt, c.Name, c.ID} })
}

// GetNode reads a node.
func (s *Store) GetNode(ctx context.Context, id string) (models.Node, error) {
	return getRow[models.Node](s.read(ctx), id)
}

// ListNodes lists nodes by name, of one provider unless providerID is empty.
func (s *Store) ListNodes(ctx context.Context, providerID string, p Page) ([]models.Node, Cursor, error) {
	return listNamed(ofProvider(s.read(ctx), providerID), "nodes", p,
		func(n models.Node) place { return place{n.CreatedAt, n.Name, n.ID} })
}

func projectPlace(p models.Project) place { return place{p.CreatedAt, p.Name, p.ID} }

// byPlace gives bindings a stable order.
func byPlace(q *gorm.DB) *gorm.DB { return q.Order("provider_id, cluster_id") }

func ofProvider(q *gorm.DB, providerID string) *gorm.DB {
	if providerID == "" {
		return q
	}
	return q.Where("provider_id = ?", providerID)
}
