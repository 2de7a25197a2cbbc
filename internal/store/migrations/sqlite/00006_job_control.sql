-- +goose Up
-- What was asked of a job after it was accepted: to stop, to run again, to give
-- up undoing. Each request commits here and is delivered to Temporal afterwards.
ALTER TABLE operations ADD COLUMN cancel_requested_at TIMESTAMP;
ALTER TABLE operations ADD COLUMN cancel_delivered_at TIMESTAMP;
ALTER TABLE operations ADD COLUMN abandon_requested_at TIMESTAMP;
ALTER TABLE operations ADD COLUMN abandon_delivered_at TIMESTAMP;
ALTER TABLE operations ADD COLUMN abandon_reason TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN abandoned_by TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN retry_requested_at TIMESTAMP;
ALTER TABLE operations ADD COLUMN retry_claimed_at TIMESTAMP;
ALTER TABLE operations ADD COLUMN ended_run_id TEXT NOT NULL DEFAULT '';
CREATE INDEX operations_undelivered ON operations (id) WHERE outcome = ''
    AND (cancel_requested_at IS NOT NULL AND cancel_delivered_at IS NULL OR abandon_requested_at IS NOT NULL AND abandon_delivered_at IS NULL);
