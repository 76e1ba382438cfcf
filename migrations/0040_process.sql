-- What the generation process keeps beside its events. All of it may be lost: the events tell where a job stands.
CREATE SCHEMA process AUTHORIZATION allegiant_owner;
SET LOCAL ROLE allegiant_owner;
GRANT USAGE ON SCHEMA process TO allegiant_server;

-- Which worker has which job. Times are the database's own, so that no two machines' clocks are ever compared.
CREATE TABLE process.leases (
    proposal_id  uuid        NOT NULL CONSTRAINT leases_pkey PRIMARY KEY,
    worker_id    uuid        NOT NULL,
    heartbeat_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON process.leases TO allegiant_server;
RESET ROLE;
