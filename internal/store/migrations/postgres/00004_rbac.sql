-- +goose Up
-- Every change of what decides about requests counts the version up in its own
-- transaction, and tells those who listen once it has committed.
CREATE TABLE policy_state (
    singleton smallint PRIMARY KEY CHECK (singleton = 1),
    version   bigint NOT NULL
);
INSERT INTO policy_state (singleton, version) VALUES (1, 1);

CREATE TABLE roles (
    id          text COLLATE "C" PRIMARY KEY,
    tenant_id   text COLLATE "C" NOT NULL REFERENCES tenants (id) ON DELETE CASCADE,
    name        text COLLATE "C" NOT NULL,
    description text NOT NULL,
    permissions jsonb NOT NULL,
    generation  integer NOT NULL,
    created_at  timestamptz NOT NULL,
    updated_at  timestamptz NOT NULL,
    UNIQUE (tenant_id, name)
);

-- A binding goes with its tenant or project: their IDs may be used again.
CREATE TABLE role_bindings (
    id           text COLLATE "C" PRIMARY KEY,
    plane        text NOT NULL CHECK (plane IN ('tenant', 'ops')),
    tenant_id    text COLLATE "C" REFERENCES tenants (id) ON DELETE CASCADE,
    project_id   text COLLATE "C",
    role_id      text COLLATE "C" NOT NULL,
    issuer       text COLLATE "C" NOT NULL CHECK (issuer <> ''),
    subject      text COLLATE "C" NOT NULL CHECK (subject <> ''),
    display_name text NOT NULL,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
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
CREATE FUNCTION policy_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM gone) THEN
        UPDATE policy_state SET version = version + 1;
        PERFORM pg_notify('hcp_policy', '');
    END IF;
    RETURN NULL;
END $$;
-- +goose StatementEnd
CREATE TRIGGER roles_gone AFTER DELETE ON roles
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();
CREATE TRIGGER role_bindings_gone AFTER DELETE ON role_bindings
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION policy_changed();
