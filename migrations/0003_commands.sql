-- What commands leave beside their events.
SET LOCAL ROLE allegiant_owner;

-- One row per command that had an effect, or was answered under a key: a repetition finds it and decides nothing.
CREATE TABLE es.command_receipts (
    command_id   uuid        NOT NULL CONSTRAINT command_receipts_pkey PRIMARY KEY,
    request_hash bytea       CHECK (octet_length(request_hash) = 32),
    outcome      json        NOT NULL,
    subject      uuid        NOT NULL,
    answer       bytea,
    recorded_at  timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX command_receipts_age ON es.command_receipts USING brin (recorded_at);
CREATE INDEX command_receipts_subject ON es.command_receipts (subject) WHERE answer IS NOT NULL;
COMMENT ON COLUMN es.command_receipts.outcome IS 'The streams appended to, with first and last sequence.';
COMMENT ON COLUMN es.command_receipts.answer IS 'The stored answer, sealed with the key of the subject.';

-- What is unique across streams: an e-mail address (as a keyed digest), a slot for an active job, …
CREATE TABLE es.claims (
    kind       text        NOT NULL,
    key        bytea       NOT NULL,
    holder     uuid        NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT claims_pkey PRIMARY KEY (kind, key)
);
CREATE INDEX claims_holder ON es.claims (holder, kind);

GRANT SELECT, INSERT, DELETE ON es.command_receipts, es.claims TO allegiant_server;
RESET ROLE;
