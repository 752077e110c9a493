-- A signed-in device. Its user goes to NULL when the account is deleted, so that what it still holds is refused
-- with the reason until its lifetime is over.
CREATE TABLE sessions (
    id           uuid PRIMARY KEY,
    user_id      uuid REFERENCES users (id) ON DELETE SET NULL,
    kind         text NOT NULL CHECK (kind IN ('browser', 'api')),
    device       text,
    address      text,
    -- What the sign-in asked for; NULL: whatever the user may at each refresh.
    scope        text[],
    auth_time    timestamptz NOT NULL DEFAULT now(),
    created_at   timestamptz NOT NULL DEFAULT now(),
    last_used_at timestamptz NOT NULL DEFAULT now(),
    -- The absolute end of its life.
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,
    ended_reason text,
    CHECK ((ended_at IS NULL) = (ended_reason IS NULL))
) WITH (fillfactor = 85);
CREATE INDEX sessions_user_id ON sessions (user_id, id);
CREATE INDEX sessions_expires_at ON sessions (expires_at);

-- A session's refresh token: one row, however often it is refreshed. Rotation updates it in place (HOT), so no
-- index stands on what changes.
CREATE TABLE refresh_tokens (
    session_id      uuid PRIMARY KEY REFERENCES sessions (id) ON DELETE CASCADE,
    secret_digest   bytea NOT NULL CHECK (octet_length(secret_digest) = 32),
    -- The generation of the one live token; lower ones are spent.
    generation      integer NOT NULL DEFAULT 1 CHECK (generation > 0),
    -- The highest generation that was presented here, as a refresh token or by an access token issued with it:
    -- the proof that the answer which carried it arrived.
    used_generation integer NOT NULL DEFAULT 0,
    -- When the last 16 were spent, latest first.
    rotated_at      timestamptz[] NOT NULL DEFAULT '{}',
    -- The end of its idle lifetime.
    expires_at      timestamptz NOT NULL,
    ended_at        timestamptz,
    ended_reason    text,
    -- How the last request was answered: what the rotating statement hands to its own later parts.
    outcome         text NOT NULL DEFAULT 'issued'
        CHECK (outcome IN ('issued', 'ended', 'expired', 'reused', 'account_deleted', 'account_disabled',
                           'scope_refused', 'rotated', 'repeated')),
    CHECK ((ended_at IS NULL) = (ended_reason IS NULL))
) WITH (fillfactor = 50);
