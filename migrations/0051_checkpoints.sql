-- Signed checkpoints of the ledger. They are worth what their copies outside this database are worth; here they are kept
-- so that the copies can be caught up and the tree can grow without being read again.
SET LOCAL ROLE allegiant_owner;

CREATE TABLE es.checkpoints (
    position   bigint      NOT NULL CONSTRAINT checkpoints_pkey PRIMARY KEY CHECK (position >= 1),
    store_id   uuid        NOT NULL,
    epoch      integer     NOT NULL CHECK (epoch >= 1),
    root_hash  bytea       NOT NULL CHECK (octet_length(root_hash) = 32),
    head_hash  bytea       NOT NULL CHECK (octet_length(head_hash) = 32),
    created_at timestamptz NOT NULL,
    public_key bytea       NOT NULL CHECK (octet_length(public_key) = 32),
    signature  bytea       NOT NULL CHECK (octet_length(signature) = 64),
    frontier   bytea       NOT NULL CHECK (octet_length(frontier) > 0 AND octet_length(frontier) % 32 = 0)
);
COMMENT ON TABLE es.checkpoints IS 'Signed statements about the ledger up to a position, append-only.';
COMMENT ON COLUMN es.checkpoints.frontier IS 'Roots of the full subtrees of the Merkle tree, the largest first.';

CREATE TRIGGER checkpoints_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON es.checkpoints
    FOR EACH STATEMENT EXECUTE FUNCTION es.refuse_change();
ALTER TABLE es.checkpoints ENABLE ALWAYS TRIGGER checkpoints_append_only;

-- Whose turn it is: the instance that has locked its one row signs. Not the row of es.store, since a checkpoint takes
-- longer than the sequencer may wait.
CREATE TABLE es.checkpoint_turn (
    one boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one)
);
INSERT INTO es.checkpoint_turn DEFAULT VALUES;

GRANT SELECT, INSERT ON es.checkpoints TO allegiant_server;
-- Locking a row needs the right to change it.
GRANT SELECT, UPDATE ON es.checkpoint_turn TO allegiant_server;
RESET ROLE;
