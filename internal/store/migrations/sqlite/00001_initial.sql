-- +goose Up
-- The declared type TIMESTAMP is what makes the driver read integers
-- (microseconds since 1970) as times.

CREATE TABLE installation (
    singleton  INTEGER PRIMARY KEY CHECK (singleton = 1),
    id         TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE tenants (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE projects (
    id         TEXT NOT NULL PRIMARY KEY,
    tenant_id  TEXT NOT NULL REFERENCES tenants (id),
    name       TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL,
    UNIQUE (tenant_id, name),
    UNIQUE (id, tenant_id)
);

CREATE TABLE zones (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    location    TEXT NOT NULL,
    description TEXT NOT NULL,
    created_at  TIMESTAMP NOT NULL
);

CREATE TABLE flavors (
    id         TEXT NOT NULL PRIMARY KEY,
    name       TEXT NOT NULL UNIQUE,
    vcpus      INTEGER NOT NULL CHECK (vcpus > 0),
    memory_mib INTEGER NOT NULL CHECK (memory_mib > 0),
    disk_gib   INTEGER NOT NULL CHECK (disk_gib > 0),
    created_at TIMESTAMP NOT NULL
);

CREATE TABLE providers (
    id                 TEXT NOT NULL PRIMARY KEY,
    name               TEXT NOT NULL UNIQUE,
    kind               TEXT NOT NULL,
    url                TEXT NOT NULL,
    zone_id            TEXT NOT NULL REFERENCES zones (id),
    options            TEXT,
    sealed_credentials BLOB,
    enabled            BOOLEAN NOT NULL,
    max_concurrency    INTEGER NOT NULL CHECK (max_concurrency >= 0),
    cpu_overcommit     REAL NOT NULL CHECK (cpu_overcommit > 0),
    capabilities       TEXT,
    version            TEXT NOT NULL,
    status             TEXT NOT NULL CHECK (status IN ('PENDING', 'UP', 'DEGRADED', 'UNREACHABLE')),
    status_reason      TEXT NOT NULL,
    last_seen_at       TIMESTAMP,
    generation         INTEGER NOT NULL,
    created_at         TIMESTAMP NOT NULL,
    updated_at         TIMESTAMP NOT NULL
);
CREATE INDEX providers_zone ON providers (zone_id);

CREATE TABLE clusters (
    id          TEXT NOT NULL PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    zone_id     TEXT NOT NULL REFERENCES zones (id),
    name        TEXT NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    UNIQUE (provider_id, name)
);

CREATE TABLE nodes (
    id          TEXT NOT NULL PRIMARY KEY,
    cluster_id  TEXT NOT NULL REFERENCES clusters (id),
    provider_id TEXT NOT NULL REFERENCES providers (id),
    zone_id     TEXT NOT NULL REFERENCES zones (id),
    name        TEXT NOT NULL,
    state       TEXT NOT NULL CHECK (state IN ('UP', 'DOWN', 'MAINTENANCE')),
    cordoned    BOOLEAN NOT NULL,
    vcpus       INTEGER NOT NULL CHECK (vcpus >= 0),
    memory_mib  INTEGER NOT NULL CHECK (memory_mib >= 0),
    seen_at     TIMESTAMP NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    UNIQUE (cluster_id, name)
);
CREATE INDEX nodes_zone ON nodes (zone_id);
CREATE INDEX nodes_provider ON nodes (provider_id);

CREATE TABLE images (
    id           TEXT NOT NULL PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    description  TEXT NOT NULL,
    os_type      TEXT NOT NULL CHECK (os_type IN ('linux', 'windows', 'other')),
    min_disk_gib INTEGER NOT NULL CHECK (min_disk_gib > 0),
    created_at   TIMESTAMP NOT NULL
);

-- cluster_id is empty for a binding that holds on every cluster of the provider.
CREATE TABLE image_bindings (
    id          TEXT NOT NULL PRIMARY KEY,
    image_id    TEXT NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    cluster_id  TEXT NOT NULL,
    ref         TEXT NOT NULL,
    format      TEXT NOT NULL,
    clone_mode  TEXT NOT NULL CHECK (clone_mode IN ('linked', 'full')),
    UNIQUE (image_id, provider_id, cluster_id)
);

CREATE TABLE networks (
    id          TEXT NOT NULL PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    created_at  TIMESTAMP NOT NULL
);

CREATE TABLE network_bindings (
    id          TEXT NOT NULL PRIMARY KEY,
    network_id  TEXT NOT NULL REFERENCES networks (id) ON DELETE CASCADE,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    cluster_id  TEXT NOT NULL,
    ref         TEXT NOT NULL,
    type        TEXT NOT NULL CHECK (type IN ('network', 'bridge', 'user')),
    UNIQUE (network_id, provider_id, cluster_id)
);

CREATE TABLE vms (
    id                  TEXT NOT NULL PRIMARY KEY,
    tenant_id           TEXT NOT NULL,
    project_id          TEXT NOT NULL,
    name                TEXT NOT NULL,
    description         TEXT NOT NULL,
    image_id            TEXT NOT NULL REFERENCES images (id),
    flavor_id           TEXT NOT NULL REFERENCES flavors (id),
    vcpus               INTEGER NOT NULL CHECK (vcpus > 0),
    memory_mib          INTEGER NOT NULL CHECK (memory_mib > 0),
    disk_gib            INTEGER NOT NULL CHECK (disk_gib > 0),
    zone_id             TEXT NOT NULL,
    location            TEXT NOT NULL,
    nics                TEXT,
    ssh_keys            TEXT,
    metadata            TEXT,
    tags                TEXT,
    sealed_user_data    BLOB,
    delete_protection   BOOLEAN NOT NULL,
    status              TEXT NOT NULL CHECK (status IN ('PENDING', 'ACTIVE', 'ERROR', 'DELETING', 'DELETED')),
    status_reason       TEXT NOT NULL,
    power_state         TEXT NOT NULL CHECK (power_state IN ('RUNNING', 'STOPPED', 'PAUSED', 'SUSPENDED', 'UNKNOWN', 'NONE')),
    desired_power_state TEXT NOT NULL CHECK (desired_power_state IN ('RUNNING', 'STOPPED', 'PAUSED', 'SUSPENDED', 'UNKNOWN', 'NONE')),
    addresses           TEXT,
    conditions          TEXT,
    observed_at         TIMESTAMP,
    current_job_id      TEXT NOT NULL,
    next_job_id         TEXT NOT NULL CHECK (next_job_id = '' OR current_job_id <> ''),
    settled_at          TIMESTAMP,
    provider_id         TEXT NOT NULL,
    cluster_id          TEXT NOT NULL,
    node_id             TEXT NOT NULL,
    native_ref          TEXT NOT NULL,
    generation          INTEGER NOT NULL,
    observed_generation INTEGER NOT NULL,
    created_at          TIMESTAMP NOT NULL,
    updated_at          TIMESTAMP NOT NULL,
    deleted_at          TIMESTAMP,
    FOREIGN KEY (project_id, tenant_id) REFERENCES projects (id, tenant_id),
    CHECK (status <> 'DELETED' OR deleted_at IS NOT NULL)
);
CREATE UNIQUE INDEX vms_name ON vms (project_id, name) WHERE status <> 'DELETED';
CREATE INDEX vms_page ON vms (project_id, created_at, id) WHERE status <> 'DELETED';
CREATE INDEX vms_page_all ON vms (created_at, id) WHERE status <> 'DELETED';
CREATE INDEX vms_page_deleted ON vms (project_id, created_at, id) WHERE status = 'DELETED';
CREATE INDEX vms_provider ON vms (provider_id, id) WHERE status <> 'DELETED';

-- node_id is empty until the VM is placed.
CREATE TABLE reservations (
    vm_id      TEXT NOT NULL PRIMARY KEY REFERENCES vms (id),
    tenant_id  TEXT NOT NULL,
    project_id TEXT NOT NULL,
    vcpus      INTEGER NOT NULL CHECK (vcpus > 0),
    memory_mib INTEGER NOT NULL CHECK (memory_mib > 0),
    disk_gib   INTEGER NOT NULL CHECK (disk_gib > 0),
    node_id    TEXT NOT NULL,
    job_id     TEXT NOT NULL,
    created_at TIMESTAMP NOT NULL
);
CREATE INDEX reservations_node ON reservations (node_id, vcpus, memory_mib) WHERE node_id <> '';
CREATE INDEX reservations_project ON reservations (project_id, vcpus, memory_mib, disk_gib);

CREATE TABLE operations (
    id              TEXT NOT NULL PRIMARY KEY,
    tenant_id       TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    kind            TEXT NOT NULL,
    resource_type   TEXT NOT NULL CHECK (resource_type IN ('vm', 'provider')),
    resource_id     TEXT NOT NULL,
    params          TEXT,
    subject         TEXT NOT NULL,
    request_id      TEXT NOT NULL,
    preempts_job_id TEXT NOT NULL,
    created_at      TIMESTAMP NOT NULL,
    dispatched_at   TIMESTAMP,
    started_at      TIMESTAMP,
    run             INTEGER NOT NULL CHECK (run >= 0),
    outcome         TEXT NOT NULL CHECK (outcome IN ('', 'SUCCEEDED', 'FAILED', 'CANCELLED')),
    error_code      TEXT NOT NULL,
    error_text      TEXT NOT NULL,
    no_op           BOOLEAN NOT NULL,
    finished_at     TIMESTAMP,
    CHECK ((outcome = '') = (finished_at IS NULL))
);
CREATE INDEX operations_page ON operations (created_at, id);
CREATE INDEX operations_tenant_page ON operations (tenant_id, created_at, id);
CREATE INDEX operations_project_page ON operations (project_id, created_at, id) WHERE project_id <> '';
CREATE INDEX operations_resource_page ON operations (resource_id, created_at, id);
CREATE INDEX operations_undispatched ON operations (created_at, id) WHERE dispatched_at IS NULL AND outcome = '';
CREATE INDEX operations_open ON operations (id) WHERE dispatched_at IS NOT NULL AND outcome = '';

CREATE TABLE idempotency_records (
    scope        TEXT NOT NULL,
    key          TEXT NOT NULL,
    request_hash BLOB NOT NULL,
    job_id       TEXT NOT NULL,
    status       INTEGER NOT NULL,
    header       TEXT,
    body         BLOB,
    created_at   TIMESTAMP NOT NULL,
    expires_at   TIMESTAMP NOT NULL,
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_records_expiry ON idempotency_records (expires_at);
