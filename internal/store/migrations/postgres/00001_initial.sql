-- +goose Up
-- IDs and names collate "C": pages compare them byte by byte, as SQLite and Go
-- do, and prefix searches use the index.

CREATE TABLE installation (
    singleton  smallint PRIMARY KEY CHECK (singleton = 1),
    id         text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE tenants (
    id         text COLLATE "C" PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE,
    created_at timestamptz NOT NULL
);

CREATE TABLE projects (
    id         text COLLATE "C" PRIMARY KEY,
    tenant_id  text COLLATE "C" NOT NULL REFERENCES tenants (id),
    name       text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (id, tenant_id)
);

CREATE TABLE zones (
    id          text COLLATE "C" PRIMARY KEY,
    name        text COLLATE "C" NOT NULL UNIQUE,
    location    text COLLATE "C" NOT NULL,
    description text NOT NULL,
    created_at  timestamptz NOT NULL
);

CREATE TABLE flavors (
    id         text COLLATE "C" PRIMARY KEY,
    name       text COLLATE "C" NOT NULL UNIQUE,
    vcpus      integer NOT NULL CHECK (vcpus > 0),
    memory_mib integer NOT NULL CHECK (memory_mib > 0),
    disk_gib   integer NOT NULL CHECK (disk_gib > 0),
    created_at timestamptz NOT NULL
);

CREATE TABLE providers (
    id                 text COLLATE "C" PRIMARY KEY,
    name               text COLLATE "C" NOT NULL UNIQUE,
    kind               text COLLATE "C" NOT NULL,
    url                text NOT NULL,
    zone_id            text COLLATE "C" NOT NULL REFERENCES zones (id),
    options            jsonb,
    sealed_credentials bytea,
    enabled            boolean NOT NULL,
    max_concurrency    integer NOT NULL CHECK (max_concurrency >= 0),
    cpu_overcommit     double precision NOT NULL CHECK (cpu_overcommit > 0),
    capabilities       jsonb,
    version            text NOT NULL,
    status             text NOT NULL CHECK (status IN ('PENDING', 'UP', 'DEGRADED', 'UNREACHABLE')),
    status_reason      text NOT NULL,
    last_seen_at       timestamptz,
    generation         integer NOT NULL,
    created_at         timestamptz NOT NULL,
    updated_at         timestamptz NOT NULL
);
CREATE INDEX providers_zone ON providers (zone_id);

CREATE TABLE clusters (
    id          text COLLATE "C" PRIMARY KEY,
    provider_id text COLLATE "C" NOT NULL REFERENCES providers (id),
    zone_id     text COLLATE "C" NOT NULL REFERENCES zones (id),
    name        text COLLATE "C" NOT NULL,
    created_at  timestamptz NOT NULL,
    UNIQUE (provider_id, name)
);

CREATE TABLE nodes (
    id          text COLLATE "C" PRIMARY KEY,
    cluster_id  text COLLATE "C" NOT NULL REFERENCES clusters (id),
    provider_id text COLLATE "C" NOT NULL REFERENCES providers (id),
    zone_id     text COLLATE "C" NOT NULL REFERENCES zones (id),
    name        text COLLATE "C" NOT NULL,
    state       text NOT NULL CHECK (state IN ('UP', 'DOWN', 'MAINTENANCE')),
    cordoned    boolean NOT NULL,
    vcpus       integer NOT NULL CHECK (vcpus >= 0),
    memory_mib  integer NOT NULL CHECK (memory_mib >= 0),
    seen_at     timestamptz NOT NULL,
    created_at  timestamptz NOT NULL,
    UNIQUE (cluster_id, name)
);
CREATE INDEX nodes_zone ON nodes (zone_id);
CREATE INDEX nodes_provider ON nodes (provider_id);

CREATE TABLE images (
    id           text COLLATE "C" PRIMARY KEY,
    name         text COLLATE "C" NOT NULL UNIQUE,
    description  text NOT NULL,
    os_type      text NOT NULL CHECK (os_type IN ('linux', 'windows', 'other')),
    min_disk_gib integer NOT NULL CHECK (min_disk_gib > 0),
    created_at   timestamptz NOT NULL
);

-- cluster_id is empty for a binding that holds on every cluster of the provider.
CREATE TABLE image_bindings (
    id          text COLLATE "C" PRIMARY KEY,
    image_id    text COLLATE "C" NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    provider_id text COLLATE "C" NOT NULL REFERENCES providers (id),
    cluster_id  text COLLATE "C" NOT NULL,
    ref         text NOT NULL,
    format      text NOT NULL,
    clone_mode  text NOT NULL CHECK (clone_mode IN ('linked', 'full')),
    UNIQUE (image_id, provider_id, cluster_id)
);

CREATE TABLE networks (
    id          text COLLATE "C" PRIMARY KEY,
    name        text COLLATE "C" NOT NULL UNIQUE,
    description text NOT NULL,
    created_at  timestamptz NOT NULL
);

CREATE TABLE network_bindings (
    id          text COLLATE "C" PRIMARY KEY,
    network_id  text COLLATE "C" NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    provider_id text COLLATE "C" NOT NULL REFERENCES providers (id),
    cluster_id  text COLLATE "C" NOT NULL,
    ref         text NOT NULL,
    type        text NOT NULL CHECK (type IN ('network', 'bridge', 'user')),
    UNIQUE (network_id, provider_id, cluster_id)
);

-- A VM is updated a few times in its life and at every refresh: room on its
-- page keeps those updates out of the indexes.
CREATE TABLE vms (
    id                  text COLLATE "C" PRIMARY KEY,
    tenant_id           text COLLATE "C" NOT NULL,
    project_id          text COLLATE "C" NOT NULL,
    name                text COLLATE "C" NOT NULL,
    description         text NOT NULL,
    image_id            text COLLATE "C" NOT NULL REFERENCES images (id),
    flavor_id           text COLLATE "C" NOT NULL REFERENCES flavors (id),
    vcpus               integer NOT NULL CHECK (vcpus > 0),
    memory_mib          integer NOT NULL CHECK (memory_mib > 0),
    disk_gib            integer NOT NULL CHECK (disk_gib > 0),
    zone_id             text COLLATE "C" NOT NULL,
    location            text COLLATE "C" NOT NULL,
    nics                jsonb,
    ssh_keys            jsonb,
    metadata            jsonb,
    tags                jsonb,
    sealed_user_data    bytea,
    delete_protection   boolean NOT NULL,
    status              text NOT NULL CHECK (status IN ('PENDING', 'ACTIVE', 'ERROR', 'DELETING', 'DELETED')),
    status_reason       text NOT NULL,
    power_state         text NOT NULL CHECK (power_state IN ('RUNNING', 'STOPPED', 'PAUSED', 'SUSPENDED', 'UNKNOWN', 'NONE')),
    desired_power_state text NOT NULL CHECK (desired_power_state IN ('RUNNING', 'STOPPED', 'PAUSED', 'SUSPENDED', 'UNKNOWN', 'NONE')),
    addresses           jsonb,
    conditions          jsonb,
    observed_at         timestamptz,
    current_job_id      text COLLATE "C" NOT NULL,
    next_job_id         text COLLATE "C" NOT NULL CHECK (next_job_id = '' OR current_job_id <> ''),
    settled_at          timestamptz,
    provider_id         text COLLATE "C" NOT NULL,
    cluster_id          text COLLATE "C" NOT NULL,
    node_id             text COLLATE "C" NOT NULL,
    native_ref          text NOT NULL,
    generation          integer NOT NULL,
    observed_generation integer NOT NULL,
    created_at          timestamptz NOT NULL,
    updated_at          timestamptz NOT NULL,
    deleted_at          timestamptz,
    FOREIGN KEY (project_id, tenant_id) REFERENCES projects (id, tenant_id),
    CHECK (status <> 'DELETED' OR deleted_at IS NOT NULL)
) WITH (fillfactor = 80);
CREATE UNIQUE INDEX vms_name ON vms (project_id, name) WHERE status <> 'DELETED';
CREATE INDEX vms_page ON vms (project_id, created_at, id) WHERE status <> 'DELETED';
CREATE INDEX vms_page_all ON vms (created_at, id) WHERE status <> 'DELETED';
CREATE INDEX vms_page_deleted ON vms (project_id, created_at, id) WHERE status = 'DELETED';
CREATE INDEX vms_provider ON vms (provider_id, id) WHERE status <> 'DELETED';

-- node_id is empty until the VM is placed.
CREATE TABLE reservations (
    vm_id      text COLLATE "C" PRIMARY KEY REFERENCES vms (id),
    tenant_id  text COLLATE "C" NOT NULL,
    project_id text COLLATE "C" NOT NULL,
    vcpus      integer NOT NULL CHECK (vcpus > 0),
    memory_mib integer NOT NULL CHECK (memory_mib > 0),
    disk_gib   integer NOT NULL CHECK (disk_gib > 0),
    node_id    text COLLATE "C" NOT NULL,
    job_id     text COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL
);
CREATE INDEX reservations_node ON reservations (node_id) INCLUDE (vcpus, memory_mib) WHERE node_id <> '';
CREATE INDEX reservations_project ON reservations (project_id) INCLUDE (vcpus, memory_mib, disk_gib);

CREATE TABLE operations (
    id              text COLLATE "C" PRIMARY KEY,
    tenant_id       text COLLATE "C" NOT NULL,
    project_id      text COLLATE "C" NOT NULL,
    kind            text NOT NULL,
    resource_type   text NOT NULL CHECK (resource_type IN ('vm', 'provider')),
    resource_id     text COLLATE "C" NOT NULL,
    params          jsonb,
    subject         text NOT NULL,
    request_id      text NOT NULL,
    preempts_job_id text COLLATE "C" NOT NULL,
    created_at      timestamptz NOT NULL,
    dispatched_at   timestamptz,
    started_at      timestamptz,
    run             integer NOT NULL CHECK (run >= 0),
    outcome         text NOT NULL CHECK (outcome IN ('', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    error_code      text NOT NULL,
    error_text      text NOT NULL,
    no_op           boolean NOT NULL,
    finished_at     timestamptz,
    CHECK ((outcome = '') = (finished_at IS NULL))
) WITH (fillfactor = 80);
CREATE INDEX operations_page ON operations (created_at, id);
CREATE INDEX operations_tenant_page ON operations (tenant_id, created_at, id);
CREATE INDEX operations_project_page ON operations (project_id, created_at, id) WHERE project_id <> '';
CREATE INDEX operations_resource_page ON operations (resource_id, created_at, id);
CREATE INDEX operations_undispatched ON operations (created_at, id) WHERE dispatched_at IS NULL AND outcome = '';
CREATE INDEX operations_open ON operations (id) WHERE dispatched_at IS NOT NULL AND outcome = '';

CREATE TABLE idempotency_records (
    scope        text COLLATE "C" NOT NULL,
    key          text COLLATE "C" NOT NULL,
    request_hash bytea NOT NULL,
    job_id       text COLLATE "C" NOT NULL,
    status       integer NOT NULL,
    header       jsonb,
    body         bytea,
    created_at   timestamptz NOT NULL,
    expires_at   timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_records_expiry ON idempotency_records (expires_at);
