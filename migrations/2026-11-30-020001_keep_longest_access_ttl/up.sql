-- The longest lifetime of an access token that any node may issue with a key. A node raises it before it issues the first such
-- token. Nobody knows the lifetimes of the version before, so its keys start with one day.
ALTER TABLE signing_keys
    ADD COLUMN longest_ttl_seconds bigint NOT NULL DEFAULT 86400 CHECK (longest_ttl_seconds > 0);

-- A replaced key retires one minute after its last token has expired. The rule is a trigger because nodes of the version before
-- publish keys too, and compute the time from their own lifetime alone. It never moves a retirement to an earlier time, and
-- never brings back a retired key.
CREATE FUNCTION retire_replaced_signing_keys() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE signing_keys AS replaced
    SET retires_at = following.retires_at
    FROM (
        SELECT earlier.kid,
            min(later.signs_from) + (earlier.longest_ttl_seconds + 60) * interval '1 second' AS retires_at
        FROM signing_keys AS earlier
        JOIN signing_keys AS later ON (later.signs_from, later.kid) > (earlier.signs_from, earlier.kid)
        WHERE earlier.revoked_at IS NULL AND later.revoked_at IS NULL
        GROUP BY earlier.kid
    ) AS following
    WHERE replaced.kid = following.kid
        AND (replaced.retires_at IS NULL
            OR replaced.retires_at > now() AND replaced.retires_at < following.retires_at);
    RETURN NULL;
END $$;
CREATE TRIGGER retire_replaced_signing_keys AFTER INSERT OR UPDATE OF longest_ttl_seconds, revoked_at ON signing_keys
    FOR EACH STATEMENT EXECUTE FUNCTION retire_replaced_signing_keys();
