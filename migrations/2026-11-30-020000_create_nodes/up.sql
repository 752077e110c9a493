-- A row for each server process: who serves, since when, and with which settings. A node renews seen_at every few seconds.
CREATE TABLE nodes (
    id                 uuid PRIMARY KEY,
    -- Host name and port.
    name               text NOT NULL,
    version            text NOT NULL,
    access_ttl_seconds bigint NOT NULL CHECK (access_ttl_seconds > 0),
    -- The settings that all nodes must share, as text by their names. No secrets.
    settings           jsonb NOT NULL,
    started_at         timestamptz NOT NULL,
    seen_at            timestamptz NOT NULL
);

-- Nodes of the version before report nothing. For a day they count as nodes with a lifetime of one day, so that keys that
-- are made meanwhile do not retire too early for them.
INSERT INTO nodes (id, name, version, access_ttl_seconds, settings, started_at, seen_at)
SELECT '00000000-0000-0000-0000-000000000000', 'nodes of an earlier version', '', 86400, '{}', now(), now() - interval '1 minute'
WHERE EXISTS (SELECT FROM signing_keys);
