-- +goose Up
-- A retired row keeps its place for what refers to it, and gives its name back: it
-- is renamed to what no client can write (see Store.retire), so that the unique
-- names of the tables hold without a rebuild.
ALTER TABLE tenants ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE tenants ADD COLUMN deleted_at timestamptz;
ALTER TABLE projects ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE projects ADD COLUMN deleted_at timestamptz;
ALTER TABLE zones ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE zones ADD COLUMN deleted_at timestamptz;
ALTER TABLE flavors ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE flavors ADD COLUMN deleted_at timestamptz;
ALTER TABLE images ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE images ADD COLUMN deleted_at timestamptz;
ALTER TABLE networks ADD COLUMN generation integer NOT NULL DEFAULT 1;
ALTER TABLE networks ADD COLUMN deleted_at timestamptz;

CREATE TABLE service_accounts (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    project_id  text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    description text NOT NULL,
    disabled    boolean NOT NULL,
    generation  integer NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    UNIQUE (project_id, name),
    FOREIGN KEY (project_id, tenant_id) REFERENCES projects (id, tenant_id)
);
CREATE INDEX service_accounts_page ON service_accounts (project_id, created_at, id);

CREATE TABLE service_account_keys (
    id                 text COLLATE "C" PRIMARY KEY,
    service_account_id text COLLATE "C" NOT NULL REFERENCES service_accounts (id) ON DELETE CASCADE,
    tenant_id          text COLLATE "C" NOT NULL,
    secret_hash        bytea NOT NULL,
    created_at         timestamptz NOT NULL,
    expires_at         timestamptz,
    revoked_at         timestamptz,
    last_used_at       timestamptz
);
CREATE INDEX service_account_keys_page ON service_account_keys (service_account_id, created_at, id);

CREATE TABLE ssh_keys (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL,
    project_id  text COLLATE "C" NOT NULL,
    name        text COLLATE "C" NOT NULL,
    public_key  text NOT NULL,
    fingerprint text NOT NULL,
    created_at  timestamptz NOT NULL,
    UNIQUE (project_id, name),
    FOREIGN KEY (project_id, tenant_id) REFERENCES projects (id, tenant_id)
);
CREATE INDEX ssh_keys_page ON ssh_keys (project_id, created_at, id);

-- The records of a tenant are counted against its cap.
ALTER TABLE idempotency_records ADD COLUMN tenant_id text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX idempotency_records_tenant ON idempotency_records (tenant_id, expires_at) WHERE tenant_id <> '';
