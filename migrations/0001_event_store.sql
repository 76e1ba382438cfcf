-- Roles and the events themselves.
--
-- allegiant_owner owns every table and cannot log in; allegiant_server is what the server becomes on each connection
-- (SET ROLE) and may only read and add. So not even a mistake in the server can change history.

-- Roles belong to the whole cluster, and databases of one cluster may be migrated at the same time: whoever comes
-- second finds the role made.
DO $roles$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['allegiant_owner', 'allegiant_server'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', role_name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                NULL;
            END;
        END IF;
    END LOOP;
    -- Who is no superuser must be a member to hand over what it makes.
    IF NOT (SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user) THEN
        EXECUTE format('GRANT allegiant_owner TO %I', current_user);
    END IF;
    -- The server compares what is applied with what it knows before it starts.
    IF to_regclass('_sqlx_migrations') IS NOT NULL THEN
        GRANT SELECT ON _sqlx_migrations TO allegiant_server;
    END IF;
END
$roles$;

CREATE SCHEMA es AUTHORIZATION allegiant_owner;
SET LOCAL ROLE allegiant_owner;
GRANT USAGE ON SCHEMA es TO allegiant_server;

-- The first seven columns are those of postgres-es; the others have defaults, so that its repository can write here.
-- json, not jsonb: it keeps the exact bytes, which the hash chain covers.
CREATE TABLE es.events (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    sequence       bigint           NOT NULL CHECK (sequence >= 1),
    event_type     text             NOT NULL,
    event_version  text             NOT NULL,
    payload        json             NOT NULL,
    metadata       json             NOT NULL,
    insert_order   bigint           NOT NULL GENERATED ALWAYS AS IDENTITY,
    event_id       uuid             NOT NULL DEFAULT gen_random_uuid(),
    recorded_at    timestamptz      NOT NULL DEFAULT clock_timestamp(),
    actor_id       uuid             NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    CONSTRAINT events_pkey PRIMARY KEY (aggregate_type, aggregate_id, sequence)
);
COMMENT ON TABLE es.events IS 'What happened, one row per event, append-only.';

-- Events without a ledger position. A row lives for milliseconds.
CREATE TABLE es.event_pending (
    insert_order   bigint           NOT NULL PRIMARY KEY,
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    sequence       bigint           NOT NULL,
    actor_id       uuid             NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX event_pending_actor ON es.event_pending (actor_id);
COMMENT ON TABLE es.event_pending IS 'Events that the sequencer has not numbered yet.';

CREATE FUNCTION es.note_pending() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- A restore of the data alone brings its own pending rows.
    INSERT INTO es.event_pending (insert_order, aggregate_type, aggregate_id, sequence, actor_id)
        SELECT insert_order, aggregate_type, aggregate_id, sequence, actor_id FROM inserted
        ON CONFLICT DO NOTHING;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION es.note_pending() FROM PUBLIC;

CREATE TRIGGER events_note_pending AFTER INSERT ON es.events
    REFERENCING NEW TABLE AS inserted FOR EACH STATEMENT EXECUTE FUNCTION es.note_pending();

CREATE FUNCTION es.refuse_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION '%.% is append-only: % refused', TG_TABLE_SCHEMA, TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;

CREATE TRIGGER events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.events
    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE es.events ENABLE ALWAYS TRIGGER events_append_only;

GRANT SELECT, INSERT ON es.events TO allegiant_server;
GRANT SELECT ON es.event_pending TO allegiant_server;
RESET ROLE;
