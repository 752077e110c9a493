-- A browser's session: its cookie carries a random key, of which the digest stands here, and it ends when it is not
-- used for as long as its sign-in said.
ALTER TABLE sessions
    ADD COLUMN cookie_digest bytea UNIQUE CHECK (octet_length(cookie_digest) = 32),
    ADD COLUMN idle_seconds integer CHECK (idle_seconds > 0),
    ADD CONSTRAINT sessions_browser_has_cookie CHECK ((kind = 'browser') = (cookie_digest IS NOT NULL)),
    ADD CONSTRAINT sessions_browser_has_idle CHECK ((kind = 'browser') = (idle_seconds IS NOT NULL));

-- The key that signs session cookies, sealed under the secret key. The first server that starts makes it.
ALTER TABLE instance ADD COLUMN sealed_cookie_key bytea;
