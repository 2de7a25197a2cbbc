-- +goose Up
-- A row counts in its project's quota for as long as it is there.
CREATE TABLE snapshots (
    id              text COLLATE "C" PRIMARY KEY,
    vm_id           text COLLATE "C" NOT NULL REFERENCES vms (id),
    tenant_id       text COLLATE "C" NOT NULL,
    project_id      text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    description     text NOT NULL,
    memory          boolean NOT NULL,
    status          text NOT NULL CHECK (status IN ('CREATING', 'READY', 'ERROR')),
    removing_job_id text COLLATE "C" NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (vm_id, name)
);
CREATE INDEX snapshots_page ON snapshots (vm_id, created_at, id);
CREATE INDEX snapshots_tenant ON snapshots (tenant_id);
CREATE INDEX snapshots_project ON snapshots (project_id);

CREATE TABLE disks (
    id              text COLLATE "C" PRIMARY KEY,
    vm_id           text COLLATE "C" NOT NULL REFERENCES vms (id),
    tenant_id       text COLLATE "C" NOT NULL,
    project_id      text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    size_gib        integer NOT NULL CHECK (size_gib > 0),
    status          text NOT NULL CHECK (status IN ('ATTACHING', 'ATTACHED', 'ERROR')),
    removing_job_id text COLLATE "C" NOT NULL,
    created_at      timestamptz NOT NULL,
    updated_at      timestamptz NOT NULL,
    UNIQUE (vm_id, name)
);
CREATE INDEX disks_page ON disks (vm_id, created_at, id);
CREATE INDEX disks_tenant ON disks (tenant_id) INCLUDE (size_gib);
CREATE INDEX disks_project ON disks (project_id) INCLUDE (size_gib);
