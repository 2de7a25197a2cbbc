-- +goose Up
-- Console sessions: who was at which VM's console, and the tickets, of which
-- only a hash is kept. An UPDATE of one row burns a ticket, whichever replica it
-- reaches.
CREATE TABLE console_sessions (
    id             text COLLATE "C" PRIMARY KEY,
    tenant_id      text COLLATE "C" NOT NULL,
    project_id     text COLLATE "C" NOT NULL,
    vm_id          text COLLATE "C" NOT NULL,
    job_id         text COLLATE "C" NOT NULL UNIQUE,
    type           text NOT NULL,
    state          text NOT NULL CHECK (state IN ('PENDING', 'READY', 'OPEN', 'CLOSED')),
    subject        text COLLATE "C" NOT NULL,
    roles          jsonb,
    key_id         text COLLATE "C" NOT NULL,
    ticket_hash    bytea NOT NULL UNIQUE,
    node_id        text COLLATE "C" NOT NULL,
    generation     integer NOT NULL,
    ticket_seconds integer NOT NULL,
    limit_seconds  integer NOT NULL,
    created_at     timestamptz NOT NULL,
    expires_at     timestamptz NOT NULL,
    connected_at   timestamptz,
    ends_at        timestamptz,
    closed_at      timestamptz,
    close_reason   text NOT NULL DEFAULT '',
    client_address text NOT NULL DEFAULT '',
    gateway_id     text COLLATE "C" NOT NULL DEFAULT '',
    lease_at       timestamptz,
    bytes_in       bigint NOT NULL DEFAULT 0,
    bytes_out      bigint NOT NULL DEFAULT 0,
    CHECK ((state = 'CLOSED') = (closed_at IS NOT NULL)),
    CHECK ((state = 'CLOSED') = (close_reason <> ''))
);
CREATE INDEX console_sessions_page ON console_sessions (vm_id, created_at, id);
CREATE INDEX console_sessions_unfinished ON console_sessions (tenant_id) WHERE state <> 'CLOSED';
CREATE INDEX console_sessions_closed ON console_sessions (closed_at) WHERE state = 'CLOSED';
