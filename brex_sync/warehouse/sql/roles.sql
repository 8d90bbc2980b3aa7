-- The roles of brex_sync in this database: a writer for syncs, who owns what they make, and a
-- reader for people and BI, who sees the tables and the log of runs, and neither credentials nor
-- checkpoints. To be run by an administrator; running it again changes nothing.
DO $roles$
DECLARE
    ours record;
    relation record;
    owners name[];
BEGIN
    -- Nobody's function or operator stands in for one of Postgres's.
    PERFORM pg_catalog.set_config('search_path', 'pg_catalog, pg_temp', true);
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'brex_writer') THEN
        CREATE ROLE brex_writer LOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'brex_reader') THEN
        CREATE ROLE brex_reader LOGIN CONNECTION LIMIT 40;
    END IF;
    IF NOT (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT brex_writer TO %I', current_user);
    END IF;
    EXECUTE format(
        'GRANT CONNECT, CREATE, TEMPORARY ON DATABASE %I TO brex_writer', current_database()
    );
    EXECUTE format('GRANT CONNECT ON DATABASE %I TO brex_reader', current_database());
    -- What the writer is given is what those made who synced so far: with a view or a function of
    -- anybody else's, they would be given the writer's rights.
    SELECT array_agg(DISTINCT pg_get_userbyid(nspowner)) INTO owners FROM pg_namespace
    WHERE nspname = 'brex_sync' OR pg_get_userbyid(nspowner) IN ('brex_writer', current_user);
    FOR ours IN
        SELECT oid, nspname AS name FROM pg_namespace
        WHERE (nspname = 'brex_sync'
                OR obj_description(oid, 'pg_namespace') LIKE 'Brex, synced by brex_sync%')
            AND pg_get_userbyid(nspowner) = ANY (owners)
    LOOP
        EXECUTE format('ALTER SCHEMA %I OWNER TO brex_writer', ours.name);
        FOR relation IN
            SELECT relname AS name FROM pg_class
            WHERE relnamespace = ours.oid AND relkind IN ('r', 'v', 'm')
        LOOP
            EXECUTE format('ALTER TABLE %I.%I OWNER TO brex_writer', ours.name, relation.name);
        END LOOP;
        FOR relation IN
            SELECT oid::regprocedure::text AS name FROM pg_proc WHERE pronamespace = ours.oid
        LOOP
            EXECUTE format('ALTER FUNCTION %s OWNER TO brex_writer', relation.name);
        END LOOP;
        EXECUTE format('GRANT USAGE ON SCHEMA %I TO brex_reader', ours.name);
        IF ours.name <> 'brex_sync' THEN
            EXECUTE format('GRANT SELECT ON ALL TABLES IN SCHEMA %I TO brex_reader', ours.name);
            EXECUTE format(
                'ALTER DEFAULT PRIVILEGES FOR ROLE brex_writer IN SCHEMA %I '
                'GRANT SELECT ON TABLES TO brex_reader',
                ours.name
            );
        END IF;
    END LOOP;
    IF to_regclass('brex_sync.runs') IS NOT NULL THEN
        GRANT SELECT ON brex_sync.runs, brex_sync.run_streams, brex_sync.quarantine,
            brex_sync.unavailable, brex_sync.closes, brex_sync.reconciliations,
            brex_sync.differences TO brex_reader;
    END IF;
    IF to_regclass('brex_sync.proxied_requests') IS NOT NULL THEN
        GRANT SELECT ON brex_sync.proxied_requests TO brex_reader;
    END IF;
    IF to_regclass('brex_sync.marts') IS NOT NULL THEN
        GRANT SELECT ON brex_sync.marts TO brex_reader;
    END IF;
    IF to_regclass('brex_sync.writes') IS NOT NULL THEN
        GRANT SELECT ON brex_sync.writes, brex_sync.workflow_runs, brex_sync.workflow_steps
            TO brex_reader;
    END IF;
    IF to_regclass('brex_sync.webhook_events') IS NOT NULL THEN
        GRANT SELECT ON brex_sync.webhook_events, brex_sync.webhook_refusals TO brex_reader;
    END IF;
END
$roles$;
--
-- Dagster's own storage (DAGSTER_POSTGRES_URL) is best a database of its own, with a role of its own:
--     CREATE ROLE brex_dagster LOGIN;
--     CREATE DATABASE dagster OWNER brex_dagster;
-- In a database there is, that role needs:
--     GRANT CREATE, USAGE ON SCHEMA public TO brex_dagster;
