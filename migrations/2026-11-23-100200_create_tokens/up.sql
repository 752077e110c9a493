CREATE TABLE personal_tokens (
    id             uuid PRIMARY KEY,
    -- NULL: the account is deleted; the row stays until it would have expired.
    user_id        uuid REFERENCES users (id) ON DELETE SET NULL,
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    digest         bytea NOT NULL UNIQUE CHECK (octet_length(digest) = 32),
    scope          text[] NOT NULL CHECK (NOT scope @> ARRAY['account:write']),
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz NOT NULL,
    last_used_at   timestamptz,
    revoked_at     timestamptz,
    revoked_reason text,
    CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
) WITH (fillfactor = 85);
CREATE INDEX personal_tokens_user_id ON personal_tokens (user_id, id);

-- Keys that sign access tokens; the private part is sealed under the secret key.
CREATE TABLE signing_keys (
    kid          text PRIMARY KEY,
    algorithm    text NOT NULL CHECK (algorithm IN ('ES256', 'EdDSA', 'RS256')),
    sealed_key   bytea NOT NULL,
    public_jwk   jsonb NOT NULL,
    published_at timestamptz NOT NULL DEFAULT now(),
    signs_from   timestamptz NOT NULL,
    -- When the last token that it signed has expired; set when a successor is published.
    retires_at   timestamptz,
    revoked_at   timestamptz
);

-- One row: a value by which a wrong secret key is noticed at the start.
CREATE TABLE instance (
    only_row    boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    check_value bytea NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now()
);

-- The feed: whatever ends something writes a row here in its own transaction.
CREATE TABLE revocations (
    position      bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind          text NOT NULL CHECK (kind IN ('session', 'user', 'token', 'key')),
    -- The session's, user's or personal token's id, or the key's kid.
    subject       text NOT NULL,
    -- Of a user: the least version that is still good.
    least_version bigint,
    reason        text NOT NULL,
    revoked_at    timestamptz NOT NULL DEFAULT now(),
    -- After it nothing that it concerns can be presented any more.
    matters_until timestamptz NOT NULL
);
CREATE INDEX revocations_matters_until ON revocations (matters_until);
CREATE INDEX revocations_subject ON revocations (subject, position);

CREATE FUNCTION announce_revocation() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_notify('doorward_revocations', NEW.position::text);
    RETURN NULL;
END $$;
CREATE TRIGGER announce_revocation AFTER INSERT ON revocations
    FOR EACH ROW EXECUTE FUNCTION announce_revocation();
