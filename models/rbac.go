package models

import "time"

// OwnIssuer is the issuer of the tokens of service accounts: this installation
// itself. Their subject is the service account's ID.
const OwnIssuer = "hcp"

// The planes that a role counts on.
const (
	PlaneTenant = "tenant"
	PlaneOps    = "ops"
)

// Role is a role that a tenant made. The built-in ones are no rows: they are
// part of the program.
type Role struct {
	ID          string `gorm:"primaryKey"`
	TenantID    string
	Name        string // unique in the tenant, and not that of a built-in role
	Description string
	// Permissions are of the tenant plane: "vm.start", or "vm.*" for all of a noun.
	Permissions []string `gorm:"serializer:json"`
	Generation  int
	CreatedAt   time.Time
	UpdatedAt   time.Time
}

// RoleBinding gives a role to a principal: on the ops plane, in a tenant with
// all of its projects, or in one project.
type RoleBinding struct {
	ID        string `gorm:"primaryKey"`
	Plane     string // PlaneTenant or PlaneOps
	TenantID  string `gorm:"default:null"` // empty on the ops plane
	ProjectID string `gorm:"default:null"` // empty for the whole tenant
	// RoleID is the name of a built-in role, or the ID of a custom one.
	RoleID string
	// Issuer and Subject are the principal, as its tokens name it.
	Issuer      string
	Subject     string
	DisplayName string
	CreatedAt   time.Time
	CreatedBy   string // the principal that gave the role
}

// Principal is whom the role is bound to, "<issuer>|<subject>".
func (b RoleBinding) Principal() string { return b.Issuer + "|" + b.Subject }

// PolicySet is all that decides about requests besides the built-in roles, as
// it was at one moment. Its rows hold what decides: no texts for people, no times.
type PolicySet struct {
	// Version differs whenever anything of the set does.
	Version  int64
	Roles    []Role        // ordered by ID
	Bindings []RoleBinding // ordered by ID
	// LiveKeys are the IDs of the service accounts' keys that count: neither
	// they nor their account were withdrawn.
	LiveKeys []string
}

// Member is a principal with the roles that it is bound to.
type Member struct {
	Issuer   string
	Subject  string
	Bindings []RoleBinding // at least one
}
