-- +goose Up
CREATE TABLE signing_keys (
    id          TEXT PRIMARY KEY,
    sealed_seed BLOB NOT NULL,
    created_at  TIMESTAMP NOT NULL,
    not_after   TIMESTAMP NOT NULL,
    CHECK (not_after > created_at)
);
