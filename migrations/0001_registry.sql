-- The registry's tables, for both engines: TEXT, BIGINT milliseconds since the Unix epoch, JSON as TEXT, ids made by
-- the host. What only PostgreSQL has follows in 0002_registry.postgres.sql.

CREATE TABLE tenants (
    id TEXT NOT NULL PRIMARY KEY,
    created_at BIGINT NOT NULL
);

-- The token itself is nowhere: only its SHA-256.
CREATE TABLE tokens (
    id TEXT NOT NULL PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    name TEXT NOT NULL,
    prefix TEXT NOT NULL,
    hash TEXT NOT NULL UNIQUE,
    role TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE INDEX tokens_by_tenant ON tokens (tenant_id, name);

CREATE TABLE plugins (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    digest TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT NOT NULL,
    contract TEXT NOT NULL,
    inspection TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    pushed_by TEXT NOT NULL,
    pushed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, digest)
);

-- Immutable once written.
CREATE TABLE releases (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    scope TEXT NOT NULL,
    number BIGINT NOT NULL,
    digest TEXT NOT NULL,
    rules TEXT NOT NULL,
    author TEXT NOT NULL,
    message TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, scope, number),
    UNIQUE (tenant_id, scope, number, digest)
);

-- One row for each scope, made with its first release; the policies' row is made with the tenant. A publish locks
-- these rows, so a scope that may become active must have one before it does.
CREATE TABLE rulesets (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    scope TEXT NOT NULL,
    last_number BIGINT NOT NULL,
    active_number BIGINT,
    active_digest TEXT,
    activated_at BIGINT,
    PRIMARY KEY (tenant_id, scope),
    FOREIGN KEY (tenant_id, scope, active_number, active_digest) REFERENCES releases (tenant_id, scope, number, digest)
);

CREATE TABLE entries (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    description TEXT,
    status TEXT NOT NULL,
    current_version TEXT NOT NULL,
    highest_version TEXT NOT NULL,
    tags TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, id)
);

-- No foreign key to entries: a refused submission has a decision and no entry.
CREATE TABLE decisions (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    version TEXT NOT NULL,
    outcome TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- Immutable once written. Which version is active is said in one place, entries.current_version: every other version
-- of the entry is archived.
CREATE TABLE versions (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    submitted_digest TEXT NOT NULL,
    manifest TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    published_by TEXT NOT NULL,
    published_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, entry_id, version),
    FOREIGN KEY (tenant_id, kind, entry_id) REFERENCES entries (tenant_id, kind, id),
    FOREIGN KEY (tenant_id, decision_id) REFERENCES decisions (tenant_id, id)
);

CREATE TABLE inbox (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    key TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, key)
);

-- The outbox. SQLite numbers a row one above the highest that is there, so the newest row must never be deleted;
-- PostgreSQL numbers from a sequence (0002).
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    announced_at BIGINT,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, kind, entry_id) REFERENCES entries (tenant_id, kind, id)
);

-- Rows not announced yet are found by their flag, never by a cursor: on PostgreSQL numbers become visible out of order.
CREATE INDEX events_pending ON events (sequence) WHERE announced_at IS NULL;
