-- To see how the server stands, and to change its signing keys.
UPDATE roles SET permissions = permissions || ARRAY['server:read', 'server:write'] WHERE name = 'admin';

-- A part of a name is found among a million by its trigrams. Where the extension is not to be had, the search reads
-- the table.
DO $$
BEGIN
    CREATE EXTENSION IF NOT EXISTS pg_trgm;
    CREATE INDEX users_username_trigrams ON users USING gin (username_folded gin_trgm_ops);
    CREATE INDEX users_email_trigrams ON users USING gin (email_folded gin_trgm_ops);
EXCEPTION WHEN undefined_file OR insufficient_privilege OR feature_not_supported THEN
    RAISE NOTICE 'pg_trgm is not available: searching users by a part of the name will be slow';
END $$;
