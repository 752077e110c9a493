-- A lane of its own for refusals of a credential that was good once: whoever holds a dead one can repeat it at will.
ALTER TABLE refusals
    DROP CONSTRAINT refusals_lane_check,
    -- NOT VALID: rows that passed the narrower check need not be read again under the lock.
    ADD CONSTRAINT refusals_lane_check CHECK (lane IN ('proven', 'dead', 'unproven', 'let_in')) NOT VALID;

-- The time after which nothing of an ended session could still be presented; its row is deleted a day later. Sessions that
-- ended before keep NULL here and go at the end of their whole lifetime.
ALTER TABLE sessions ADD COLUMN presentable_until timestamptz;

-- A trigger, so that the ends written by nodes of an earlier version count too.
CREATE FUNCTION note_presentable_until() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.presentable_until := least(NEW.expires_at, coalesce(
        (SELECT expires_at FROM refresh_tokens WHERE session_id = NEW.id),
        NEW.last_used_at + NEW.idle_seconds * interval '1 second',
        NEW.expires_at));
    RETURN NEW;
END $$;
CREATE TRIGGER note_presentable_until BEFORE UPDATE OF ended_at ON sessions
    FOR EACH ROW WHEN (OLD.ended_at IS NULL AND NEW.ended_at IS NOT NULL)
    EXECUTE FUNCTION note_presentable_until();

-- An event that a client can repeat at will is one row for each session, type and minute, with a count in its details.
-- The server makes the unique index beside the running service, and so those that pruning needs: see database/indexes.rs.
ALTER TABLE audit_events ADD COLUMN repeat_key uuid;

CREATE FUNCTION event_repeat_key(session_id uuid, type text, at timestamptz) RETURNS uuid
    STABLE LANGUAGE sql AS $$
    SELECT md5(session_id::text || ' ' || type || ' ' || extract(epoch FROM date_trunc('minute', at))::text)::uuid
$$;
-- Addresses of the repetitions other than the first one's are kept beside the count, eight at most.
CREATE FUNCTION event_counted(details jsonb, address text, other_address text) RETURNS jsonb IMMUTABLE LANGUAGE sql AS $$
    SELECT details || jsonb_build_object('count', coalesce((details ->> 'count')::integer, 1) + 1) || CASE
        WHEN other_address IS NULL OR other_address IS NOT DISTINCT FROM address OR others ? other_address
            OR jsonb_array_length(others) >= 8 THEN '{}'
        ELSE jsonb_build_object('other_addresses', others || to_jsonb(other_address)) END
    FROM (SELECT coalesce(details -> 'other_addresses', '[]') AS others) AS known
$$;
