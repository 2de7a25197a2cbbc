-- +goose Up
-- The node that a VM is being moved to. While it is set, the VM's room is taken
-- there beside its own node; it is empty once the job has ended.
ALTER TABLE reservations ADD COLUMN moving_to TEXT NOT NULL DEFAULT '';
CREATE INDEX reservations_moving ON reservations (moving_to) WHERE moving_to <> '';
-- What an operator asked of a job whose step ended in a way that is not known.
ALTER TABLE operations ADD COLUMN step_retry_requested_at TIMESTAMP;
ALTER TABLE operations ADD COLUMN step_retry_delivered_at TIMESTAMP;
DROP INDEX operations_undelivered;
CREATE INDEX operations_undelivered ON operations (id) WHERE outcome = ''
    AND (cancel_requested_at IS NOT NULL AND cancel_delivered_at IS NULL OR abandon_requested_at IS NOT NULL AND abandon_delivered_at IS NULL
        OR step_retry_requested_at IS NOT NULL AND step_retry_delivered_at IS NULL);
