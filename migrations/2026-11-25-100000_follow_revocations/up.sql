-- Which transaction wrote a row. Positions become visible out of their order: who knows the snapshot of his last read
-- knows by the transaction alone which rows are new to him.
ALTER TABLE revocations ADD COLUMN transaction bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint;
CREATE INDEX revocations_transaction ON revocations (transaction);

-- Also what nodes remember of a session or a user and has changed without an end, and everything at once.
ALTER TABLE revocations
    DROP CONSTRAINT revocations_kind_check,
    ADD CONSTRAINT revocations_kind_check
        CHECK (kind IN ('session', 'user', 'token', 'key', 'session_changed', 'user_changed', 'everything'));

-- Whoever hears it reads the rows: without a payload a transaction announces all of its rows at once.
CREATE OR REPLACE FUNCTION announce_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('doorward_revocations', '');
    RETURN NULL;
END $$;
