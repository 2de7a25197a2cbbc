-- +goose Up
-- What may be left on a hypervisor, or in the records, of a job that ended
-- without being able to prove its absence. NULL for nothing.
ALTER TABLE operations ADD COLUMN residue jsonb;
