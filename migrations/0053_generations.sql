-- Generations of read models: a table of a model can be filled anew beside the one that is read, and take its place.
--
-- A document version (the shape) has one generation or several: the first lies in the table that a migration made,
-- views.projects_v1; the others, made by a rebuild, carry their number in the name: views.projects_v1_g2. One generation
-- of each version is live, that is, read by the builds that know this version. The one it replaced stays behind it and
-- is fed on, so that it can be read again. See docs/projections.md.
SET LOCAL ROLE allegiant_owner;

ALTER TABLE views.parked
    DROP CONSTRAINT parked_model,
    DROP CONSTRAINT parked_pkey,
    ADD generation integer NOT NULL DEFAULT 1;
ALTER TABLE views.list_positions
    DROP CONSTRAINT list_positions_model,
    DROP CONSTRAINT list_positions_pkey,
    ADD generation integer NOT NULL DEFAULT 1;
DROP INDEX views.checkpoints_one_live;
ALTER TABLE views.checkpoints
    DROP CONSTRAINT checkpoints_pkey,
    ADD generation integer NOT NULL DEFAULT 1 CHECK (generation >= 1),
    ADD filled boolean NOT NULL DEFAULT true,
    ADD made_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    ADD CONSTRAINT checkpoints_pkey PRIMARY KEY (name, version, generation),
    ADD CONSTRAINT checkpoints_live_is_filled CHECK (filled OR NOT live);
CREATE UNIQUE INDEX checkpoints_one_live ON views.checkpoints (name, version) WHERE live;
ALTER TABLE views.parked
    ADD CONSTRAINT parked_pkey PRIMARY KEY (name, version, generation, aggregate_type, aggregate_id),
    ADD CONSTRAINT parked_model FOREIGN KEY (name, version, generation) REFERENCES views.checkpoints ON DELETE CASCADE;
ALTER TABLE views.list_positions
    ADD CONSTRAINT list_positions_pkey PRIMARY KEY (owner_id, name, version, generation),
    ADD CONSTRAINT list_positions_model FOREIGN KEY (name, version, generation)
        REFERENCES views.checkpoints ON DELETE CASCADE;
COMMENT ON COLUMN views.checkpoints.live IS 'Whether this is the generation that is read by builds of this version.';
COMMENT ON COLUMN views.checkpoints.filled IS
    'Whether the runner feeds it. False while it is built, and of what a rebuild left half done.';

-- The table of a generation. The version is in every name, so that it is never one of the tables above.
CREATE FUNCTION views.table_of(model text, version integer, generation integer) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN model || '_v' || version || CASE WHEN generation > 1 THEN '_g' || generation ELSE '' END;

-- The server does not own its tables. What a rebuild needs of an owner it gets by these functions, and nothing else:
-- tables of read models, whose rows it may change anyway, and the views that show them.

-- Makes an empty generation beside the others, of the form of the newest of them. Returns its number.
CREATE FUNCTION views.make_generation(model text, model_version integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    newest integer;
BEGIN
    SELECT max(c.generation) INTO newest FROM views.checkpoints c WHERE c.name = model AND c.version = model_version;
    IF newest IS NULL THEN
        RAISE EXCEPTION 'there is no read model % of version %', model, model_version USING ERRCODE = 'undefined_object';
    END IF;
    EXECUTE format('CREATE TABLE views.%I (LIKE views.%I INCLUDING ALL)',
                   views.table_of(model, model_version, newest + 1), views.table_of(model, model_version, newest));
    EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON views.%I TO allegiant_server',
                   views.table_of(model, model_version, newest + 1));
    INSERT INTO views.checkpoints (name, version, generation, position, live, filled)
        VALUES (model, model_version, newest + 1, 0, false, false);
    RETURN newest + 1;
END
$$;

-- Removes a generation that is not read, its table included. Does nothing if there is none.
CREATE FUNCTION views.drop_generation(model text, model_version integer, number integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    DELETE FROM views.checkpoints c
        WHERE c.name = model AND c.version = model_version AND c.generation = number AND NOT c.live;
    IF FOUND THEN
        EXECUTE format('DROP TABLE IF EXISTS views.%I', views.table_of(model, model_version, number));
    END IF;
END
$$;

-- Has the planner know a generation that was filled in one go before anybody reads it.
CREATE FUNCTION views.analyze_generation(model text, model_version integer, number integer) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM views.checkpoints c
               WHERE c.name = model AND c.version = model_version AND c.generation = number) THEN
        EXECUTE format('ANALYZE views.%I', views.table_of(model, model_version, number));
    END IF;
END
$$;

-- Points the view with the model's name at the live generation of its highest version. People and tools read this view,
-- never a table: what is built upon it goes on working over a rebuild.
CREATE FUNCTION views.show_live(model text) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    shown text;
BEGIN
    SELECT views.table_of(c.name, c.version, c.generation) INTO shown
        FROM views.checkpoints c WHERE c.name = model AND c.live ORDER BY c.version DESC LIMIT 1;
    IF shown IS NULL THEN
        RETURN;
    END IF;
    BEGIN
        EXECUTE format('CREATE OR REPLACE VIEW views.%I AS SELECT * FROM views.%I', model, shown);
    EXCEPTION WHEN invalid_table_definition THEN
        -- The next version's columns are not the same ones. What is built upon the view says so now, by its name.
        EXECUTE format('DROP VIEW views.%I', model);
        EXECUTE format('CREATE VIEW views.%I AS SELECT * FROM views.%I', model, shown);
    END;
    EXECUTE format('GRANT SELECT ON views.%I TO allegiant_server', model);
END
$$;

REVOKE ALL ON FUNCTION views.make_generation(text, integer), views.drop_generation(text, integer, integer),
    views.analyze_generation(text, integer, integer), views.show_live(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION views.make_generation(text, integer), views.drop_generation(text, integer, integer),
    views.analyze_generation(text, integer, integer), views.show_live(text) TO allegiant_server;

SELECT views.show_live(name) FROM (SELECT DISTINCT name FROM views.checkpoints) models;
RESET ROLE;
