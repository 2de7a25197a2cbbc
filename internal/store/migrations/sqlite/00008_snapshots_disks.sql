-- +goose Up
-- A row counts in its project's quota for as long as it is there.
CREATE TABLE snapshots (
    id              TEXT NOT NULL PRIMARY KEY,
    vm_id           TEXT NOT NULL REFERENCES vms (id),
    tenant_id       TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    name            TEXT NOT NULL,
    description     TEXT NOT NULL,
    memory          BOOLEAN NOT NULL,
    status          TEXT NOT NULL CHECK (status IN ('CREATING', 'READY', 'ERROR')),
    removing_job_id TEXT NOT NULL,
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL,
    UNIQUE (vm_id, name)
);
CREATE INDEX snapshots_page ON snapshots (vm_id, created_at, id);
CREATE INDEX snapshots_tenant ON snapshots (tenant_id);
CREATE INDEX snapshots_project ON snapshots (project_id);

CREATE TABLE disks (
    id              TEXT NOT NULL PRIMARY KEY,
    vm_id           TEXT NOT NULL REFERENCES vms (id),
    tenant_id       TEXT NOT NULL,
    project_id      TEXT NOT NULL,
    name            TEXT NOT NULL,
    size_gib        INTEGER NOT NULL CHECK (size_gib > 0),
    status          TEXT NOT NULL CHECK (status IN ('ATTACHING', 'ATTACHED', 'ERROR')),
    removing_job_id TEXT NOT NULL,
    created_at      TIMESTAMP NOT NULL,
    updated_at      TIMESTAMP NOT NULL,
    UNIQUE (vm_id, name)
);
CREATE INDEX disks_page ON disks (vm_id, created_at, id);
CREATE INDEX disks_tenant ON disks (tenant_id, size_gib);
CREATE INDEX disks_project ON disks (project_id, size_gib);
