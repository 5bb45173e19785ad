-- What a version refers to: what the plugins that judged it looked up and found. Written with the version, never changed.
CREATE TABLE version_references (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    version TEXT NOT NULL,
    to_kind TEXT NOT NULL,
    to_id TEXT NOT NULL,
    -- Empty where the plugin asked for whichever version is active.
    to_version TEXT NOT NULL,
    -- The bindings that asked, as a JSON array.
    bindings TEXT NOT NULL,
    PRIMARY KEY (tenant_id, kind, entry_id, version, to_kind, to_id, to_version)
);
CREATE INDEX version_references_to ON version_references (tenant_id, to_kind, to_id, kind, entry_id);

-- What people think of entries. Who gave a name is heard once for each entry: a later rating replaces the one before.
CREATE TABLE ratings (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    submitted_by TEXT,
    rating BIGINT NOT NULL,
    comment TEXT,
    -- The token's name.
    actor TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, kind, entry_id) REFERENCES entries (tenant_id, kind, id)
);
CREATE INDEX ratings_by_entry ON ratings (tenant_id, kind, entry_id, id);
CREATE UNIQUE INDEX ratings_by_name ON ratings (tenant_id, kind, entry_id, submitted_by) WHERE submitted_by IS NOT NULL;

-- Their count and their sum, so that lists need not count.
CREATE TABLE entry_ratings (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    count BIGINT NOT NULL,
    total BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, entry_id)
);

-- How often an entry was used on a day, counted from 1970-01-01, and how often that went well.
CREATE TABLE entry_uses (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    day BIGINT NOT NULL,
    uses BIGINT NOT NULL,
    successes BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, entry_id, day),
    FOREIGN KEY (tenant_id, kind, entry_id) REFERENCES entries (tenant_id, kind, id)
);
