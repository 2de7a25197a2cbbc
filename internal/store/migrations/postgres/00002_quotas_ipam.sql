-- +goose Up
-- A limit that is NULL does not limit. A scope without a row has no limits.
CREATE TABLE quotas (
    scope_type     text NOT NULL CHECK (scope_type IN ('tenant', 'project')),
    scope_id       text COLLATE "C" NOT NULL,
    max_vms        bigint CHECK (max_vms >= 0),
    max_vcpus      bigint CHECK (max_vcpus >= 0),
    max_memory_mib bigint CHECK (max_memory_mib >= 0),
    max_disk_gib   bigint CHECK (max_disk_gib >= 0),
    max_snapshots  bigint CHECK (max_snapshots >= 0),
    max_addresses  bigint CHECK (max_addresses >= 0),
    generation     integer NOT NULL,
    updated_at     timestamptz NOT NULL,
    PRIMARY KEY (scope_type, scope_id)
);
CREATE INDEX reservations_tenant ON reservations (tenant_id) INCLUDE (vcpus, memory_mib, disk_gib);

-- next_offset is written by every allocation: room on the page keeps that out
-- of the indexes.
CREATE TABLE subnets (
    id          text COLLATE "C" PRIMARY KEY,
    network_id  text COLLATE "C" NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    cidr        text COLLATE "C" NOT NULL,
    gateway     text NOT NULL,
    dns_servers jsonb,
    pool_start  bigint NOT NULL CHECK (pool_start >= 0),
    pool_end    bigint NOT NULL CHECK (pool_end >= pool_start),
    next_offset bigint NOT NULL,
    created_at  timestamptz NOT NULL
) WITH (fillfactor = 50);
CREATE INDEX subnets_network ON subnets (network_id, created_at, id);

-- An address lives exactly as long as the reservation of its VM. Its network
-- cannot go while it lives.
CREATE TABLE addresses (
    network_id  text COLLATE "C" NOT NULL REFERENCES networks (id),
    ip          text COLLATE "C" NOT NULL,
    subnet_id   text COLLATE "C" NOT NULL,
    host_offset bigint,
    vm_id       text COLLATE "C" NOT NULL REFERENCES reservations (vm_id) ON DELETE CASCADE,
    mac         text NOT NULL,
    tenant_id   text COLLATE "C" NOT NULL,
    project_id  text COLLATE "C" NOT NULL,
    job_id      text COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    PRIMARY KEY (network_id, ip)
);
CREATE INDEX addresses_subnet ON addresses (subnet_id, host_offset) WHERE subnet_id <> '';
CREATE INDEX addresses_vm ON addresses (vm_id);
CREATE INDEX addresses_tenant ON addresses (tenant_id);
CREATE INDEX addresses_project ON addresses (project_id);
CREATE INDEX addresses_page ON addresses (network_id, created_at, ip);
