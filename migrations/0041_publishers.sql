-- Whom an issuer of tokens vouches for, and which entries each may publish. One that was removed stays, so that what it
-- published can be told.
CREATE TABLE trusted_publishers (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    -- What the issuer calls itself in its tokens.
    issuer TEXT NOT NULL,
    -- What a token must claim: a JSON object of a claim's name and its value or values.
    claims TEXT NOT NULL,
    -- Patterns of the entries, as a JSON array.
    entries TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    removed_by TEXT,
    removed_at BIGINT,
    PRIMARY KEY (tenant_id, id)
);
