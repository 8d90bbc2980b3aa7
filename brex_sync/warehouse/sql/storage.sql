-- A role that owns the database this runs in, and all that Dagster made there. The last statement is
-- the one by which it is known to be done.
DO $storage$
DECLARE
    relation record;
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'brex_dagster') THEN
        CREATE ROLE brex_dagster LOGIN;
    END IF;
    EXECUTE format('REVOKE ALL ON DATABASE %I FROM PUBLIC', current_database());
    REVOKE CREATE ON SCHEMA public FROM PUBLIC;
    GRANT ALL ON SCHEMA public TO brex_dagster;
    FOR relation IN
        SELECT relname AS name FROM pg_class c
        WHERE relnamespace = 'public'::regnamespace
            AND relkind IN ('r', 'p', 'v', 'm', 'S')
            AND NOT EXISTS (
                SELECT FROM pg_depend
                WHERE objid = c.oid AND classid = 'pg_class'::regclass AND deptype IN ('a', 'i')
            )
    LOOP
        EXECUTE format('ALTER TABLE public.%I OWNER TO brex_dagster', relation.name);
    END LOOP;
    EXECUTE format('ALTER DATABASE %I OWNER TO brex_dagster', current_database());
END
$storage$;
