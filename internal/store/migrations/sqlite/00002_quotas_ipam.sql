-- +goose Up
-- A limit that is NULL does not limit. A scope without a row has no limits.
CREATE TABLE quotas (
    scope_type     TEXT NOT NULL CHECK (scope_type IN ('tenant', 'project')),
    scope_id       TEXT NOT NULL,
    max_vms        INTEGER CHECK (max_vms >= 0),
    max_vcpus      INTEGER CHECK (max_vcpus >= 0),
    max_memory_mib INTEGER CHECK (max_memory_mib >= 0),
    max_disk_gib   INTEGER CHECK (max_disk_gib >= 0),
    max_snapshots  INTEGER CHECK (max_snapshots >= 0),
    max_addresses  INTEGER CHECK (max_addresses >= 0),
    generation     INTEGER NOT NULL,
    updated_at     TIMESTAMP NOT NULL,
    PRIMARY KEY (scope_type, scope_id)
);
CREATE INDEX reservations_tenant ON reservations (tenant_id, vcpus, memory_mib, disk_gib);

CREATE TABLE subnets (
    id          TEXT NOT NULL PRIMARY KEY,
    network_id  TEXT NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    cidr        TEXT NOT NULL,
    gateway     TEXT NOT NULL,
    dns_servers TEXT,
    pool_start  INTEGER NOT NULL CHECK (pool_start >= 0),
    pool_end    INTEGER NOT NULL CHECK (pool_end >= pool_start),
    next_offset INTEGER NOT NULL,
    created_at  TIMESTAMP NOT NULL
);
CREATE INDEX subnets_network ON subnets (network_id, created_at, id);

-- An address lives exactly as long as the reservation of its VM. Its network
-- cannot go while it lives.
CREATE TABLE addresses (
    network_id  TEXT NOT NULL REFERENCES networks (id),
    ip          TEXT NOT NULL,
    subnet_id   TEXT NOT NULL,
    host_offset INTEGER,
    vm_id       TEXT NOT NULL REFERENCES reservations (vm_id) ON DELETE CASCADE,
    mac         TEXT NOT NULL,
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    job_id      TEXT NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    PRIMARY KEY (network_id, ip)
);
CREATE INDEX addresses_subnet ON addresses (subnet_id, host_offset) WHERE subnet_id <> '';
CREATE INDEX addresses_vm ON addresses (vm_id);
CREATE INDEX addresses_tenant ON addresses (tenant_id);
CREATE INDEX addresses_project ON addresses (project_id);
CREATE INDEX addresses_page ON addresses (network_id, created_at, ip);
