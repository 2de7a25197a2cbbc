-- +goose Up
-- Every change of what decides about requests counts the version up in its own
-- transaction.
CREATE TABLE policy_state (
    singleton INTEGER PRIMARY KEY CHECK (singleton = 1),
    version   INTEGER NOT NULL
);
INSERT INTO policy_state (singleton, version) VALUES (1, 1);

CREATE TABLE roles (
    id          TEXT NOT NULL PRIMARY KEY,
    tenant_id   TEXT NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    permissions TEXT NOT NULL,
    generation  INTEGER NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    updated_at  TIMESTAMP NOT NULL,
    UNIQUE (tenant_id, name)
);

-- A binding goes with its tenant or project: their IDs may be used again.
CREATE TABLE role_bindings (
    id           TEXT NOT NULL PRIMARY KEY,
    plane        TEXT NOT NULL CHECK (plane IN ('tenant', 'ops')),
    tenant_id    TEXT REFERENCES tenants (id) ON DELETE CASCADE,
    project_id   TEXT,
    role_id      TEXT NOT NULL,
    issuer       TEXT NOT NULL CHECK (issuer <> ''),
    subject      TEXT NOT NULL CHECK (subject <> ''),
    display_name TEXT NOT NULL,
    created_at   TIMESTAMP NOT NULL,
    created_by   TEXT NOT NULL,
    FOREIGN KEY (project_id, tenant_id) REFERENCES projects (id, tenant_id) ON DELETE CASCADE,
    CHECK ((plane = 'ops') = (tenant_id IS NULL)),
    CHECK (project_id IS NULL OR tenant_id IS NOT NULL)
);
CREATE UNIQUE INDEX role_bindings_once ON role_bindings (plane, COALESCE(tenant_id, ''), COALESCE(project_id, ''), role_id, issuer, subject);
CREATE INDEX role_bindings_page ON role_bindings (created_at, id);
CREATE INDEX role_bindings_tenant_page ON role_bindings (tenant_id, created_at, id);
CREATE INDEX role_bindings_project_page ON role_bindings (project_id, created_at, id);
CREATE INDEX role_bindings_member ON role_bindings (tenant_id, issuer, subject);
CREATE INDEX role_bindings_role ON role_bindings (role_id);

-- Rows also vanish with their tenant or project, which no code of ours sees.
-- +goose StatementBegin
CREATE TRIGGER roles_gone AFTER DELETE ON roles BEGIN
    UPDATE policy_state SET version = version + 1;
END;
-- +goose StatementEnd
-- +goose StatementBegin
CREATE TRIGGER role_bindings_gone AFTER DELETE ON role_bindings BEGIN
    UPDATE policy_state SET version = version + 1;
END;
-- +goose StatementEnd
