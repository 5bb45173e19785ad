-- Exemptions: who may pass which finding until when, and who took it back. A row is never removed.
CREATE TABLE exemptions (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    pattern TEXT NOT NULL,
    code TEXT NOT NULL,
    binding TEXT,
    until_at BIGINT NOT NULL,
    reason TEXT NOT NULL,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revoked_at BIGINT,
    revoked_by TEXT,
    PRIMARY KEY (tenant_id, id)
);

-- Of the policies' row alone: raised by every change of an exemption. A publish reads it where it reads the active
-- releases, and is judged again where it is another than it was judged under.
ALTER TABLE rulesets ADD COLUMN exemptions BIGINT NOT NULL DEFAULT 0;
