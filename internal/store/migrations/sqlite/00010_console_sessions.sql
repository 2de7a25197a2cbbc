-- +goose Up
-- Console sessions: who was at which VM's console, and the tickets, of which
-- only a hash is kept. An UPDATE of one row burns a ticket, whichever replica it
-- reaches.
CREATE TABLE console_sessions (
    id             TEXT NOT NULL PRIMARY KEY,
    tenant_id      TEXT NOT NULL,
    project_id     TEXT NOT NULL,
    vm_id          TEXT NOT NULL,
    job_id         TEXT NOT NULL UNIQUE,
    type           TEXT NOT NULL,
    state          TEXT NOT NULL CHECK (state IN ('PENDING', 'READY', 'OPEN', 'CLOSED')),
    subject        TEXT NOT NULL,
    roles          TEXT,
    key_id         TEXT NOT NULL,
    ticket_hash    BLOB NOT NULL UNIQUE,
    node_id        TEXT NOT NULL,
    generation     INTEGER NOT NULL,
    ticket_seconds INTEGER NOT NULL,
    limit_seconds  INTEGER NOT NULL,
    created_at     TIMESTAMP NOT NULL,
    expires_at     TIMESTAMP NOT NULL,
    connected_at   TIMESTAMP,
    ends_at        TIMESTAMP,
    closed_at      TIMESTAMP,
    close_reason   TEXT NOT NULL DEFAULT '',
    client_address TEXT NOT NULL DEFAULT '',
    gateway_id     TEXT NOT NULL DEFAULT '',
    lease_at       TIMESTAMP,
    bytes_in       INTEGER NOT NULL DEFAULT 0,
    bytes_out      INTEGER NOT NULL DEFAULT 0,
    CHECK ((state = 'CLOSED') = (closed_at IS NOT NULL)),
    CHECK ((state = 'CLOSED') = (close_reason <> ''))
);
CREATE INDEX console_sessions_page ON console_sessions (vm_id, created_at, id);
CREATE INDEX console_sessions_unfinished ON console_sessions (tenant_id) WHERE state <> 'CLOSED';
CREATE INDEX console_sessions_closed ON console_sessions (closed_at) WHERE state = 'CLOSED';
