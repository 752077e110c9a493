ALTER TABLE audit_events DROP COLUMN repeat_key;
DROP FUNCTION event_repeat_key;
DROP FUNCTION event_counted;
DROP INDEX IF EXISTS personal_tokens_revoked_at;
DROP TRIGGER note_presentable_until ON sessions;
DROP FUNCTION note_presentable_until;
ALTER TABLE sessions DROP COLUMN presentable_until;
DELETE FROM refusals WHERE lane = 'dead';
ALTER TABLE refusals
    DROP CONSTRAINT refusals_lane_check,
    ADD CONSTRAINT refusals_lane_check CHECK (lane IN ('proven', 'unproven', 'let_in'));
