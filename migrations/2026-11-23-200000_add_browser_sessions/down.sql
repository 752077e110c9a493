DELETE FROM sessions WHERE kind = 'browser';
ALTER TABLE instance DROP COLUMN sealed_cookie_key;
ALTER TABLE sessions DROP COLUMN cookie_digest, DROP COLUMN idle_seconds;
