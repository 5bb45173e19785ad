-- Whose signatures a tenant believes. A key that was revoked stays, so that what it signed can be told.
CREATE TABLE trusted_keys (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    name TEXT NOT NULL,
    public_key TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    revoked_by TEXT,
    revoked_at BIGINT,
    PRIMARY KEY (tenant_id, id)
);

-- Checked when they were written: a row is a signature of these bytes by this key.
CREATE TABLE plugin_signatures (
    tenant_id TEXT NOT NULL,
    plugin_digest TEXT NOT NULL,
    key_id TEXT NOT NULL,
    signature TEXT NOT NULL,
    added_by TEXT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, plugin_digest, key_id),
    FOREIGN KEY (tenant_id, plugin_digest) REFERENCES plugins (tenant_id, digest),
    FOREIGN KEY (tenant_id, key_id) REFERENCES trusted_keys (tenant_id, id)
);

-- 1 where only signed plugins may be put to work.
ALTER TABLE tenants ADD COLUMN signatures_required BIGINT NOT NULL DEFAULT 0;
