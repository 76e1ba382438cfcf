-- The ledger: one gapless order over all streams, chained by hashes, and the sequencer that writes it.
SET LOCAL ROLE allegiant_owner;

-- Which store this is. Its one row is also what the sequencer locks: locking leaves no dead row versions behind, as
-- updating a counter would while a long snapshot (pg_dump) is open. The head itself is the ledger's last row.
CREATE TABLE es.store (
    one      boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    store_id uuid    NOT NULL DEFAULT gen_random_uuid(),
    epoch    integer NOT NULL DEFAULT 1 CHECK (epoch >= 1)
);
INSERT INTO es.store DEFAULT VALUES;
COMMENT ON TABLE es.store IS 'Identity and epoch of this store; the sequencer locks its one row.';

CREATE TABLE es.ledger (
    position       bigint           NOT NULL CONSTRAINT ledger_pkey PRIMARY KEY CHECK (position >= 1),
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    sequence       bigint           NOT NULL,
    ledger_time    timestamptz      NOT NULL,
    hash           bytea            NOT NULL CHECK (octet_length(hash) = 32),
    event_id       uuid             NOT NULL,
    event_type     text             NOT NULL,
    actor_id       uuid             NOT NULL,
    insert_order   bigint           NOT NULL,
    CONSTRAINT ledger_event UNIQUE (aggregate_type, aggregate_id, sequence)
);
CREATE INDEX ledger_actor ON es.ledger (actor_id, position);
COMMENT ON TABLE es.ledger IS 'Position, time and chained hash of every event, append-only.';

CREATE TRIGGER ledger_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.ledger
    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE es.ledger ENABLE ALWAYS TRIGGER ledger_append_only;

-- What the chain covers of one event: every column, each with its length in four bytes before it, big-endian.
-- Numbers are eight bytes; times are microseconds since 2000-01-01T00:00:00Z in eight bytes; texts are UTF-8; payload
-- and metadata are the exact stored text. eventstore::chain computes the same. STABLE, as convert_to is, so that it is
-- inlined: 2.5 times as fast.
CREATE FUNCTION es.frame(field bytea) RETURNS bytea
    LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$ SELECT pg_catalog.int4send(pg_catalog.octet_length(field)) || field $$;

CREATE FUNCTION es.event_digest(
    "position" bigint, ledger_time timestamptz, aggregate_type text, aggregate_id text, sequence bigint, event_type text,
    event_version text, payload bytea, metadata bytea, insert_order bigint, event_id uuid, recorded_at timestamptz,
    actor_id uuid
) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT pg_catalog.sha256(
        es.frame('\x616c6c656769616e742d6c65646765722d31')  -- allegiant-ledger-1
        || es.frame(pg_catalog.int8send("position"))
        || es.frame(pg_catalog.timestamptz_send(ledger_time))
        || es.frame(pg_catalog.convert_to(aggregate_type, 'UTF8'))
        || es.frame(pg_catalog.convert_to(aggregate_id, 'UTF8'))
        || es.frame(pg_catalog.int8send(sequence))
        || es.frame(pg_catalog.convert_to(event_type, 'UTF8'))
        || es.frame(pg_catalog.convert_to(event_version, 'UTF8'))
        || es.frame(payload)
        || es.frame(metadata)
        || es.frame(pg_catalog.int8send(insert_order))
        || es.frame(pg_catalog.uuid_send(event_id))
        || es.frame(pg_catalog.timestamptz_send(recorded_at))
        || es.frame(pg_catalog.uuid_send(actor_id)))
$$;

-- Numbers at most max_rows pending events. hash = SHA-256(previous hash || event digest); before the first: 32 zeros.
--
-- One call is one transaction of one statement, so no lock outlives a broken connection. Returns no row if another
-- caller holds the head: that one looks again after its commit (Sequencer in the crate does), so nothing is forgotten.
-- search_from is the lowest insert order the caller knows to be pending, 0 to search all: without it a long snapshot
-- elsewhere would make every call step over all the dead rows of this table.
CREATE FUNCTION es.sequence_pending(search_from bigint, max_rows integer)
    RETURNS TABLE (head bigint, numbered integer, next_search bigint)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp
    -- The plan is kept for the session; only walks over indexes stay right while the tables grow from nothing.
    SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET enable_bitmapscan = off
    SET jit = off
AS $$
DECLARE
    last_position bigint;
    last_order    bigint;
    last_time     timestamptz;
    chain         bytea;
    batch_time    timestamptz;
    start_order   bigint;
    orphans       boolean;
    orders        bigint[];
    done          bigint[];
    types         text[];
    ids           text[];
    sequences     bigint[];
    event_ids     uuid[];
    event_types   text[];
    actors        uuid[];
    digests       bytea[];
    hashes        bytea[] := '{}';
    batch_rows    integer;
BEGIN
    PERFORM FROM es.store WHERE one FOR UPDATE SKIP LOCKED;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    -- What was numbered stays numbered, whatever the session's setting.
    IF current_setting('synchronous_commit') = 'off' THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;

    SELECT l.position, l.insert_order, l.ledger_time, l.hash INTO last_position, last_order, last_time, chain
        FROM es.ledger l ORDER BY l.position DESC LIMIT 1;
    IF NOT FOUND THEN
        last_position := 0;
        last_order := 0;
        last_time := '-infinity';
        chain := decode(repeat('00', 32), 'hex');
    END IF;
    batch_time := greatest(last_time, clock_timestamp());
    start_order := least(search_from, last_order + 1);

    LOOP
        WITH batch AS MATERIALIZED (
            SELECT p.insert_order, p.aggregate_type, p.aggregate_id, p.sequence
            FROM es.event_pending p WHERE p.insert_order >= start_order ORDER BY p.insert_order LIMIT max_rows
        ), fresh AS MATERIALIZED (
            SELECT e.*, last_position + row_number() OVER (ORDER BY b.insert_order) AS new_position,
                   b.sequence > 1 AND p.position IS NULL AND 1 = row_number()
                       OVER (PARTITION BY b.aggregate_type, b.aggregate_id ORDER BY b.insert_order) AS orphan
            -- Joins and not EXISTS, of which the planner may make a table of the whole ledger.
            FROM batch b
            LEFT JOIN es.ledger l ON l.aggregate_type = b.aggregate_type AND l.aggregate_id = b.aggregate_id
                AND l.sequence = b.sequence
            LEFT JOIN es.ledger p ON p.aggregate_type = b.aggregate_type AND p.aggregate_id = b.aggregate_id
                AND p.sequence = b.sequence - 1
            JOIN es.events e ON e.aggregate_type = b.aggregate_type AND e.aggregate_id = b.aggregate_id
                AND e.sequence = b.sequence
            WHERE l.position IS NULL
        ), digested AS (
            -- Sorted once, for all the arrays below.
            SELECT f.*, es.event_digest(f.new_position, batch_time, f.aggregate_type, f.aggregate_id, f.sequence,
                                        f.event_type, f.event_version, convert_to(f.payload::text, 'UTF8'),
                                        convert_to(f.metadata::text, 'UTF8'), f.insert_order, f.event_id,
                                        f.recorded_at, f.actor_id) AS digest
            FROM fresh f ORDER BY f.new_position
        )
        SELECT array_agg(d.insert_order), array_agg(d.aggregate_type), array_agg(d.aggregate_id),
               array_agg(d.sequence), array_agg(d.event_id), array_agg(d.event_type), array_agg(d.actor_id),
               array_agg(d.digest),
               bool_or(d.orphan),
               (SELECT array_agg(b.insert_order) FROM batch b), (SELECT count(*) FROM batch b)
            INTO orders, types, ids, sequences, event_ids, event_types, actors, digests, orphans, done, batch_rows
            FROM digested d;
        -- An event whose predecessor has no position was overtaken: then search everything.
        EXIT WHEN start_order <= 0 OR NOT coalesce(orphans, false);
        start_order := 0;
    END LOOP;

    IF orders IS NOT NULL THEN
        FOR i IN 1 .. cardinality(digests) LOOP
            chain := sha256(chain || digests[i]);
            hashes[i] := chain;
        END LOOP;
        INSERT INTO es.ledger (position, aggregate_type, aggregate_id, sequence, ledger_time, hash, event_id, event_type,
                               actor_id, insert_order)
            SELECT last_position + n, t, id, s, batch_time, h, eid, et, a, o
            FROM unnest(types, ids, sequences, hashes, event_ids, event_types, actors, orders)
                 WITH ORDINALITY AS b(t, id, s, h, eid, et, a, o, n)
            ORDER BY n;
        last_position := last_position + cardinality(digests);
        PERFORM pg_notify('es_ledger', last_position::text);
    END IF;
    IF done IS NOT NULL THEN
        DELETE FROM es.event_pending p WHERE p.insert_order = ANY (done);
    END IF;

    head := last_position;
    numbered := coalesce(cardinality(digests), 0);
    -- A full batch has more behind it; from there on the next call may search.
    next_search := CASE WHEN batch_rows >= max_rows THEN (SELECT max(o) + 1 FROM unnest(done) o) END;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION es.sequence_pending(bigint, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.sequence_pending(bigint, integer) TO allegiant_server;

-- The last position at or before a time. Positions are gapless and their times never fall, so halving finds it.
CREATE FUNCTION es.position_at(moment timestamptz) RETURNS bigint
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    low  bigint := 0;
    high bigint := coalesce((SELECT max(l.position) FROM es.ledger l), 0);
    mid  bigint;
BEGIN
    WHILE low < high LOOP
        mid := (low + high + 1) / 2;
        IF (SELECT l.ledger_time FROM es.ledger l WHERE l.position = mid) <= moment THEN
            low := mid;
        ELSE
            high := mid - 1;
        END IF;
    END LOOP;
    RETURN low;
END
$$;

-- Gives a copied database an identity of its own. For the owner alone.
CREATE FUNCTION es.renew_store_id() RETURNS uuid
    LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$ UPDATE es.store SET store_id = gen_random_uuid() RETURNING store_id $$;
REVOKE ALL ON FUNCTION es.renew_store_id() FROM PUBLIC;

GRANT SELECT ON es.store, es.ledger TO allegiant_server;
GRANT EXECUTE ON FUNCTION es.position_at(timestamptz) TO allegiant_server;
RESET ROLE;
