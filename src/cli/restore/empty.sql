-- Drops doorward's tables and functions from the schema, in the transaction that restores the backup. Drops
-- nothing of other programs. Fails if the schema has other tables, or if other objects depend on doorward's.
BEGIN;
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0;
SET LOCAL lock_timeout = '30s';
SET LOCAL client_min_messages = warning;
DO $empty$
DECLARE
    wanted CONSTANT text := {schema};
    here CONSTANT oid := (SELECT oid FROM pg_namespace WHERE nspname = current_schema());
    names text;
BEGIN
    IF current_schema() IS DISTINCT FROM wanted THEN
        RAISE EXCEPTION 'the backup has the schema %, but this database has %: create the schema %, and put it first in the search_path of doorward''s role',
            wanted, coalesce(current_schema(), 'none'), wanted;
    END IF;

    SELECT string_agg(quote_ident(relname), ', ' ORDER BY relname) INTO names FROM pg_class
     WHERE relnamespace = here AND relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relname = ANY ({tables})
       AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid AND deptype = 'e');
    IF names IS NOT NULL THEN
        RAISE EXCEPTION 'tables that this doorward does not know exist in the schema %: %. Restore into a separate database (run createdb, then set DATABASE_URL to it); if a newer doorward created them, that version can restore in place',
            wanted, names;
    END IF;

    SELECT string_agg(oid::regclass::text, ', ') INTO names FROM pg_class
     WHERE relnamespace = here AND relkind = 'r' AND relname = ANY ({tables});
    IF names IS NOT NULL THEN
        EXECUTE 'DROP TABLE ' || names;
    END IF;

    SELECT string_agg(oid::regprocedure::text, ', ') INTO names FROM pg_proc
     WHERE pronamespace = here AND proname = ANY ({functions});
    IF names IS NOT NULL THEN
        EXECUTE 'DROP FUNCTION ' || names;
    END IF;
END $empty$;
