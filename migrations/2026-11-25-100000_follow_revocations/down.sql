CREATE OR REPLACE FUNCTION announce_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('doorward_revocations', NEW.position::text);
    RETURN NULL;
END $$;
DELETE FROM revocations WHERE kind IN ('session_changed', 'user_changed', 'everything');
ALTER TABLE revocations
    DROP CONSTRAINT revocations_kind_check,
    ADD CONSTRAINT revocations_kind_check CHECK (kind IN ('session', 'user', 'token', 'key'));
ALTER TABLE revocations DROP COLUMN transaction;
