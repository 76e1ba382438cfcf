-- Keys of data subjects, and snapshots, which hold personal data and go with the key.
SET LOCAL ROLE allegiant_owner;

-- Tells a wrong master key from a right one before anything is written with it.
CREATE TABLE es.master_key_check (
    one   boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    value bytea   NOT NULL CHECK (octet_length(value) = 32)
);

-- A subject's key, wrapped by the master key. A destroyed key stays as a row without one, so that no second key is
-- ever made for the same subject.
CREATE TABLE es.subject_keys (
    subject      uuid        NOT NULL CONSTRAINT subject_keys_pkey PRIMARY KEY,
    wrapped      bytea,
    created_at   timestamptz NOT NULL DEFAULT clock_timestamp(),
    destroyed_at timestamptz,
    CHECK ((wrapped IS NULL) = (destroyed_at IS NOT NULL))
);

-- The state of a stream at a sequence, sealed. One row per stream and code version; a wrong or old one is ignored.
CREATE TABLE es.snapshots (
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    code_version   bigint           NOT NULL,
    sequence       bigint           NOT NULL,
    subject        uuid             NOT NULL,
    body           bytea            NOT NULL,
    made_at        timestamptz      NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT snapshots_pkey PRIMARY KEY (aggregate_type, aggregate_id, code_version)
);
CREATE INDEX snapshots_subject ON es.snapshots (subject);

-- The one way a key ends. Snapshots and stored answers of the subject go with it.
CREATE FUNCTION es.destroy_subject_key(of_subject uuid) RETURNS void
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    INSERT INTO es.subject_keys AS k (subject, wrapped, destroyed_at) VALUES (of_subject, NULL, clock_timestamp())
        ON CONFLICT (subject) DO UPDATE SET wrapped = NULL, destroyed_at = coalesce(k.destroyed_at, clock_timestamp());
    DELETE FROM es.snapshots s WHERE s.subject = of_subject;
    UPDATE es.command_receipts r SET answer = NULL WHERE r.subject = of_subject AND r.answer IS NOT NULL;
END
$$;
REVOKE ALL ON FUNCTION es.destroy_subject_key(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION es.destroy_subject_key(uuid) TO allegiant_server;

GRANT SELECT, INSERT ON es.master_key_check, es.subject_keys TO allegiant_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON es.snapshots TO allegiant_server;
RESET ROLE;
