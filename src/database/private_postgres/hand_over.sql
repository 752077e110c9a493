-- REASSIGN OWNED cannot be used for the superuser that initdb created, because the system depends on some of
-- its objects. So this changes the owner of each object outside the system's schemas, except those of
-- extensions.
REVOKE ALL ON DATABASE doorward FROM PUBLIC;
DO $hand_over$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        WITH mine AS (
            SELECT oid, nspname FROM pg_namespace
             WHERE nspname <> 'information_schema' AND nspname NOT LIKE 'pg\_%'
        ), members AS (
            SELECT classid, objid FROM pg_depend WHERE deptype = 'e'
        ), owner AS (
            SELECT oid FROM pg_roles WHERE rolname = '{owner}'
        )
        SELECT format('ALTER SCHEMA %I OWNER TO {owner}', nspname)
          FROM mine JOIN pg_namespace USING (oid, nspname)
         WHERE nspowner = 10 AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_namespace'::regclass AND objid = oid)
        UNION ALL
        SELECT format('ALTER %s %I.%I OWNER TO {owner}',
                      CASE relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                                   WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE' ELSE 'TABLE' END,
                      nspname, relname)
          FROM pg_class JOIN mine ON mine.oid = relnamespace
         WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c') AND relowner NOT IN (SELECT oid FROM owner)
           AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid)
           -- A sequence that belongs to a column follows its table.
           AND NOT EXISTS (SELECT FROM pg_depend WHERE classid = 'pg_class'::regclass AND objid = pg_class.oid
                              AND relkind = 'S' AND deptype IN ('a', 'i'))
        UNION ALL
        SELECT format('ALTER ROUTINE %s OWNER TO {owner}', pg_proc.oid::regprocedure)
          FROM pg_proc JOIN mine ON mine.oid = pronamespace
         WHERE proowner NOT IN (SELECT oid FROM owner)
           AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_proc'::regclass AND objid = pg_proc.oid)
        UNION ALL
        SELECT format('ALTER %s %I.%I OWNER TO {owner}', CASE typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END,
                      nspname, typname)
          FROM pg_type JOIN mine ON mine.oid = typnamespace
         WHERE typtype IN ('d', 'e', 'r') AND typowner NOT IN (SELECT oid FROM owner)
           AND NOT EXISTS (SELECT FROM members WHERE classid = 'pg_type'::regclass AND objid = pg_type.oid)
    LOOP
        EXECUTE statement;
    END LOOP;
END
$hand_over$;
