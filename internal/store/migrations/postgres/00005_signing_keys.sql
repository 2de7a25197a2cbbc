-- +goose Up
CREATE TABLE signing_keys (
    id          text COLLATE "C" PRIMARY KEY,
    sealed_seed bytea NOT NULL,
    created_at  timestamptz NOT NULL,
    not_after   timestamptz NOT NULL,
    CHECK (not_after > created_at)
);
