-- +goose Up
-- A retired row keeps its place for what refers to it, and gives its name back: it
-- is renamed to what no client can write (see Store.retire), so that the unique
-- names of the tables hold without a rebuild.
ALTER TABLE tenants ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE tenants ADD COLUMN deleted_at TIMESTAMP;
ALTER TABLE projects ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE projects ADD COLUMN deleted_at TIMESTAMP;
ALTER TABLE zones ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE zones ADD COLUMN deleted_at TIMESTAMP;
ALTER TABLE flavors ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE flavors ADD COLUMN deleted_at TIMESTAMP;
ALTER TABLE images ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE images ADD COLUMN deleted_at TIMESTAMP;
ALTER TABLE networks ADD COLUMN generation INTEGER NOT NULL DEFAULT 1;
ALTER TABLE networks ADD COLUMN deleted_at TIMESTAMP;

CREATE TABLE service_accounts (
    id          TEXT NOT NULL PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    disabled    BOOLEAN NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    updated_at  TIMESTAMP NOT NULL,
    UNIQUE (project_id, name),
    FOREIGN KEY (project_id, tenant_id) REFERENCES projects (id, tenant_id)
);
CREATE INDEX service_accounts_page ON service_accounts (project_id, created_at, id);

CREATE TABLE service_account_keys (
    id                 TEXT NOT NULL PRIMARY KEY,
    service_account_id TEXT NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    tenant_id          TEXT NOT NULL,
    secret_hash        BLOB NOT NULL,
    created_at         TIMESTAMP NOT NULL,
    expires_at         TIMESTAMP,
    revoked_at         TIMESTAMP,
    last_used_at       TIMESTAMP
);
CREATE INDEX service_account_keys_page ON service_account_keys (service_account_id, created_at, id);

CREATE TABLE ssh_keys (
    id          TEXT NOT NULL PRIMARY KEY,
    tenant_id   TEXT NOT NULL,
    project_id  TEXT NOT NULL,
    name        TEXT NOT NULL,
    public_key  TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    UNIQUE (project_id, name),
    FOREIGN KEY (project_id, tenant_id) REFERENCES projects (id, tenant_id)
);
CREATE INDEX ssh_keys_page ON ssh_keys (project_id, created_at, id);

-- The records of a tenant are counted against its cap.
ALTER TABLE idempotency_records ADD COLUMN tenant_id TEXT NOT NULL DEFAULT '';
CREATE INDEX idempotency_records_tenant ON idempotency_records (tenant_id, expires_at) WHERE tenant_id <> '';
