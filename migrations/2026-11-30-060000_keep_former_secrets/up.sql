-- The secrets that a session had before a step-up or a change of password gave it another one: the key of a browser's
-- cookie, or the random bytes of an API session's refresh tokens. A session keeps a few of them: see sessions/renewal.rs.
CREATE TABLE former_secrets (
    -- SHA-256, as in sessions.cookie_digest and refresh_tokens.secret_digest.
    digest        bytea PRIMARY KEY CHECK (octet_length(digest) = 32),
    session_id    uuid NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    -- Orders the secrets of a session: the first generation of the next secret. A cookie has no generations, so its
    -- secrets are numbered from 1.
    successor     integer NOT NULL CHECK (successor > 0),
    -- The last sign-in or step-up before it was replaced.
    auth_time     timestamptz NOT NULL,
    replaced_at   timestamptz NOT NULL,
    -- When a later secret of the session was first presented: the grace starts then. NULL: none was, so the answer that
    -- carried it may be lost, and this one is still accepted.
    superseded_at timestamptz,
    -- Refused without a grace: the password was changed.
    is_over       boolean NOT NULL DEFAULT false,
    -- Of refresh tokens, as in refresh_tokens.
    generation    integer CHECK (generation < successor),
    rotated_at    timestamptz[] NOT NULL DEFAULT '{}'
);
CREATE INDEX former_secrets_session_id ON former_secrets (session_id, successor);

-- The first generation with the present random bytes; 1 if they were never replaced.
ALTER TABLE refresh_tokens ADD COLUMN first_generation integer NOT NULL DEFAULT 1;
-- How often they were. Each time the generation leaps, so that the old tokens may go on in the gap.
ALTER TABLE refresh_tokens ADD COLUMN renewals integer NOT NULL DEFAULT 0;

-- Whether the browser was asked to keep the cookie after it is closed. NULL: a node of the version before did not say.
ALTER TABLE sessions ADD COLUMN is_kept boolean;
