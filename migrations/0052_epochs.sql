-- Accepting an older backup: the next epoch, and read models that start over.
SET LOCAL ROLE allegiant_owner;

-- Moves the store on to a later epoch, in the transaction that appends the event which says so. For the owner alone: the
-- server's role may not write es.store, so no server can end its own epoch. Only from the epoch and the head that the
-- caller has signed for, and while nothing else waits for a position.
CREATE FUNCTION es.open_epoch(from_epoch integer, to_epoch integer, at_head bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    -- The row is the sequencer's lock, too: until the commit nobody gets a position.
    UPDATE es.store SET epoch = to_epoch WHERE one AND epoch = from_epoch AND from_epoch < to_epoch;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'the store is not in epoch %', from_epoch;
    END IF;
    IF (SELECT coalesce(max(l.position), 0) FROM es.ledger l) <> at_head
        OR (SELECT count(*) FROM (SELECT FROM es.event_pending LIMIT 2) p) > 1 THEN
        RAISE EXCEPTION 'somebody appends to the store';
    END IF;
END
$$;
REVOKE ALL ON FUNCTION es.open_epoch(integer, integer, bigint) FROM PUBLIC;

-- Empties the read models whose checkpoints are above a position, so that the runner fills them anew from the first
-- event; -1 empties them all. They hold what no longer happened, or what was erased since. Returns how many there were.
-- Generations of read models (0053) are emptied each for itself; before that migration there is one of each.
CREATE FUNCTION views.start_over(above bigint) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    model   record;
    emptied integer := 0;
BEGIN
    FOR model IN
        SELECT c.name, c.version, coalesce((to_jsonb(c) ->> 'generation')::integer, 1) AS generation
        FROM views.checkpoints c WHERE c.position > above ORDER BY c.name, c.version FOR UPDATE
    LOOP
        EXECUTE format('TRUNCATE views.%I', model.name || '_v' || model.version
                       || CASE WHEN model.generation > 1 THEN '_g' || model.generation ELSE '' END);
        DELETE FROM views.parked p WHERE p.name = model.name AND p.version = model.version
            AND coalesce((to_jsonb(p) ->> 'generation')::integer, 1) = model.generation;
        DELETE FROM views.list_positions l WHERE l.name = model.name AND l.version = model.version
            AND coalesce((to_jsonb(l) ->> 'generation')::integer, 1) = model.generation;
        UPDATE views.checkpoints c SET position = 0 WHERE c.name = model.name AND c.version = model.version
            AND coalesce((to_jsonb(c) ->> 'generation')::integer, 1) = model.generation;
        emptied := emptied + 1;
    END LOOP;
    RETURN emptied;
END
$$;
REVOKE ALL ON FUNCTION views.start_over(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION views.start_over(bigint) TO allegiant_server;
RESET ROLE;
