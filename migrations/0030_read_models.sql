-- Read models: documents that follow the ledger, one table for each model and version of its shape.
--
-- Everything here can be thrown away and made again from the events. A table's name ends in the version of its
-- documents, so that the next version can be filled beside it and take its place. The columns after position are
-- computed from the document: what is filtered and sorted, nothing else.
CREATE SCHEMA views AUTHORIZATION allegiant_owner;
SET LOCAL ROLE allegiant_owner;
GRANT USAGE ON SCHEMA views TO allegiant_server;

-- A time in a document as a time. Documents hold RFC 3339 in UTC, whose meaning hangs on no setting, so that this is
-- immutable although the cast in general is not.
CREATE FUNCTION views.instant(rfc3339 text) RETURNS timestamptz
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    RETURN CAST(rfc3339 AS timestamptz);

-- How far each model has read. Documents and their checkpoint are written in one transaction.
CREATE TABLE views.checkpoints (
    name     text    NOT NULL,
    version  integer NOT NULL CHECK (version >= 1),
    position bigint  NOT NULL DEFAULT 0 CHECK (position >= 0),
    live     boolean NOT NULL,
    CONSTRAINT checkpoints_pkey PRIMARY KEY (name, version)
);
CREATE UNIQUE INDEX checkpoints_one_live ON views.checkpoints (name) WHERE live;
COMMENT ON COLUMN views.checkpoints.position IS 'Ledger position up to which everything is contained.';
COMMENT ON COLUMN views.checkpoints.live IS 'Whether this is the version that is read.';

-- Streams that a model no longer follows, since one of their events could not be decoded or folded.
CREATE TABLE views.parked (
    name           text             NOT NULL,
    version        integer          NOT NULL,
    aggregate_type text COLLATE "C" NOT NULL,
    aggregate_id   text COLLATE "C" NOT NULL,
    from_sequence  bigint           NOT NULL,
    position       bigint           NOT NULL,
    error          text             NOT NULL,
    skipped        bigint           NOT NULL DEFAULT 1,
    parked_at      timestamptz      NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT parked_pkey PRIMARY KEY (name, version, aggregate_type, aggregate_id),
    CONSTRAINT parked_model FOREIGN KEY (name, version) REFERENCES views.checkpoints ON DELETE CASCADE
);
COMMENT ON COLUMN views.parked.from_sequence IS 'The first event of the stream that is missing.';
COMMENT ON COLUMN views.parked.skipped IS 'How many events of the stream are missing.';

-- The position of the last event that changed what an account sees in a list, deletions included.
CREATE TABLE views.list_positions (
    name     text    NOT NULL,
    version  integer NOT NULL,
    owner_id uuid    NOT NULL,
    position bigint  NOT NULL,
    CONSTRAINT list_positions_pkey PRIMARY KEY (owner_id, name, version),
    CONSTRAINT list_positions_model FOREIGN KEY (name, version) REFERENCES views.checkpoints ON DELETE CASCADE
);

CREATE TABLE views.accounts_v1 (
    key      uuid   NOT NULL PRIMARY KEY,
    document jsonb  NOT NULL,
    versions jsonb  NOT NULL,
    position bigint NOT NULL
);
COMMENT ON TABLE views.accounts_v1 IS 'Accounts, by id.';

CREATE TABLE views.projects_v1 (
    key        uuid   NOT NULL PRIMARY KEY,
    document   jsonb  NOT NULL,
    versions   jsonb  NOT NULL,
    position   bigint NOT NULL,
    owner_id   uuid             GENERATED ALWAYS AS ((document ->> 'owner')::uuid) STORED,
    status     text             GENERATED ALWAYS AS (document ->> 'status') STORED,
    sector     text             GENERATED ALWAYS AS (document ->> 'sector') STORED,
    updated_at timestamptz      GENERATED ALWAYS AS (views.instant(document ->> 'updated_at')) STORED,
    progress   integer          GENERATED ALWAYS AS ((document #>> '{completeness,percentage}')::integer) STORED,
    budget_usd double precision GENERATED ALWAYS AS ((document ->> 'budget_usd')::double precision) STORED,
    search     text             GENERATED ALWAYS AS (document ->> 'search') STORED
);
CREATE INDEX projects_v1_by_owner ON views.projects_v1 (owner_id, updated_at DESC, key);
COMMENT ON TABLE views.projects_v1 IS 'Projects that are open, by id: header, status, completeness.';

CREATE TABLE views.project_data_v1 (
    key      uuid   NOT NULL PRIMARY KEY,
    document jsonb  NOT NULL,
    versions jsonb  NOT NULL,
    position bigint NOT NULL,
    owner_id uuid GENERATED ALWAYS AS ((document ->> 'owner')::uuid) STORED
);
COMMENT ON TABLE views.project_data_v1 IS 'Technical sheets, by project.';

CREATE TABLE views.timeline_v1 (
    key        uuid   NOT NULL PRIMARY KEY,
    document   jsonb  NOT NULL,
    versions   jsonb  NOT NULL,
    position   bigint NOT NULL,
    project_id uuid        GENERATED ALWAYS AS ((document ->> 'project')::uuid) STORED,
    visible    boolean     GENERATED ALWAYS AS ((document ->> 'visible')::boolean) STORED,
    began_at   timestamptz GENERATED ALWAYS AS (views.instant(document ->> 'began_at')) STORED
);
CREATE INDEX timeline_v1_by_project ON views.timeline_v1 (project_id, began_at DESC, key DESC);
COMMENT ON TABLE views.timeline_v1 IS 'Entries of the timelines of projects, by entry.';

CREATE TABLE views.proposals_v1 (
    key        uuid   NOT NULL PRIMARY KEY,
    document   jsonb  NOT NULL,
    versions   jsonb  NOT NULL,
    position   bigint NOT NULL,
    project_id uuid        GENERATED ALWAYS AS ((document ->> 'project')::uuid) STORED,
    state      text        GENERATED ALWAYS AS (document ->> 'state') STORED,
    status     text        GENERATED ALWAYS AS (document ->> 'status') STORED,
    created_at timestamptz GENERATED ALWAYS AS (views.instant(document ->> 'created_at')) STORED
);
CREATE INDEX proposals_v1_by_project ON views.proposals_v1 (project_id, created_at DESC, key DESC);
COMMENT ON TABLE views.proposals_v1 IS 'Proposals, by id; in the state awaited while their generation goes on.';

CREATE TABLE views.jobs_v1 (
    key          uuid   NOT NULL PRIMARY KEY,
    document     jsonb  NOT NULL,
    versions     jsonb  NOT NULL,
    position     bigint NOT NULL,
    owner_id     uuid        GENERATED ALWAYS AS ((document ->> 'owner')::uuid) STORED,
    project_id   uuid        GENERATED ALWAYS AS ((document ->> 'project')::uuid) STORED,
    status       text        GENERATED ALWAYS AS (document ->> 'status') STORED,
    cancelled    boolean     GENERATED ALWAYS AS ((document ->> 'cancelled')::boolean) STORED,
    requested_at timestamptz GENERATED ALWAYS AS (views.instant(document ->> 'requested_at')) STORED
);
CREATE INDEX jobs_v1_by_owner ON views.jobs_v1 (owner_id, requested_at DESC, key DESC);
CREATE INDEX jobs_v1_by_project ON views.jobs_v1 (project_id, requested_at DESC, key DESC);
COMMENT ON TABLE views.jobs_v1 IS 'Generations, by the id of their proposal; kept when the project is deleted.';

INSERT INTO views.checkpoints (name, version, live) VALUES
    ('accounts', 1, true), ('projects', 1, true), ('project_data', 1, true), ('timeline', 1, true),
    ('proposals', 1, true), ('jobs', 1, true);

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA views TO allegiant_server;
RESET ROLE;
