-- How often something was tried that guesses or costs, a row for each name, address and so on that it counts against.
-- A level falls by itself, by as many an hour as are free: a row is as it was when it was last counted.
CREATE TABLE attempts (
    kind       text NOT NULL,
    -- SHA-256 of what it counts against: what is typed for a name is sometimes a password.
    digest     bytea NOT NULL,
    level      double precision NOT NULL,
    -- Of these, the tries whose outcome is not known yet.
    pending    integer NOT NULL,
    counted_at timestamptz NOT NULL,
    -- No try is taken before.
    next_at    timestamptz NOT NULL,
    -- When the audit log was last told.
    noted_at   timestamptz,
    PRIMARY KEY (kind, digest)
) WITH (fillfactor = 50);

-- How long the try after one at this level waits: nothing while tries are free, then 2, 4, 8 … s.
CREATE FUNCTION attempt_wait(level double precision, free integer, longest double precision) RETURNS interval
    IMMUTABLE LANGUAGE sql AS $$
    SELECT CASE WHEN ceil(level) < free THEN interval '0'
        ELSE least(longest, power(2, least(ceil(level) - free + 1, 30))) * interval '1 second' END
$$;

-- From where an account was signed in to: an IPv4 address, or an IPv6 network of 64 bits.
CREATE TABLE known_addresses (
    user_id      uuid NOT NULL REFERENCES users ON DELETE CASCADE,
    network      text NOT NULL,
    last_used_at timestamptz NOT NULL,
    PRIMARY KEY (user_id, network)
);
CREATE INDEX known_addresses_last_used_at ON known_addresses (last_used_at);
