DROP INDEX IF EXISTS users_email_trigrams;
DROP INDEX IF EXISTS users_username_trigrams;
DROP EXTENSION IF EXISTS pg_trgm;
UPDATE roles SET permissions = array_remove(array_remove(permissions, 'server:read'), 'server:write');
