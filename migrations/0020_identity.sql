-- Credentials and sessions: plain tables beside the events. Nothing here is an event, and nothing here is needed to
-- read one. The e-mail address itself is encrypted in the account's events; here is only its keyed hash.

CREATE SCHEMA identity AUTHORIZATION allegiant_owner;
SET LOCAL ROLE allegiant_owner;

CREATE TABLE identity.credentials (
    account_id    uuid        NOT NULL CONSTRAINT credentials_pkey PRIMARY KEY,
    -- HMAC-SHA-256 of the address in lower case, with a key derived from the master key.
    email_key     bytea       NOT NULL CONSTRAINT credentials_email_taken UNIQUE
                              CONSTRAINT credentials_email_key_length CHECK (octet_length(email_key) = 32),
    -- A PHC string: the algorithm, its parameters, salt and hash.
    password_hash text        NOT NULL CONSTRAINT credentials_password_hash_argon2id CHECK (password_hash LIKE '$argon2id$%'),
    is_active     boolean     NOT NULL DEFAULT true,
    roles         text[]      NOT NULL DEFAULT ARRAY['user']
                              CONSTRAINT credentials_roles_known CHECK (
                                  'user' = ANY (roles) AND roles <@ ARRAY['user', 'auditor', 'analyst', 'admin']),
    created_at    timestamptz NOT NULL,
    changed_at    timestamptz NOT NULL
);

CREATE TABLE identity.sessions (
    id                uuid        NOT NULL CONSTRAINT sessions_pkey PRIMARY KEY,
    account_id        uuid        NOT NULL CONSTRAINT sessions_account REFERENCES identity.credentials ON DELETE CASCADE,
    -- SHA-256 of the cookie's value, which is random.
    token_hash        bytea       NOT NULL CONSTRAINT sessions_token_hash UNIQUE
                                  CONSTRAINT sessions_token_hash_length CHECK (octet_length(token_hash) = 32),
    created_at        timestamptz NOT NULL,
    last_seen_at      timestamptz NOT NULL,
    -- When the session as a whole ends, however often it is extended.
    expires_at        timestamptz NOT NULL,
    -- When what the client holds now stops working: the session is alive before, unless it is revoked.
    access_expires_at timestamptz NOT NULL,
    revoked_at        timestamptz,
    -- Network address and browser at sign-in: a nonce, then JSON under XChaCha20-Poly1305.
    seen              bytea       NOT NULL,
    CONSTRAINT sessions_access_within_session CHECK (access_expires_at <= expires_at)
);

CREATE INDEX sessions_unrevoked_by_account ON identity.sessions (account_id, created_at DESC) WHERE revoked_at IS NULL;
CREATE INDEX sessions_by_end ON identity.sessions (access_expires_at);

GRANT USAGE ON SCHEMA identity TO allegiant_server;
GRANT SELECT, INSERT, UPDATE, DELETE ON identity.credentials, identity.sessions TO allegiant_server;

RESET ROLE;
