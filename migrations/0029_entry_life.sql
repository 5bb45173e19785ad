-- Where an entry stands in its life, beside `status` (draft, active, deprecated, disabled): why, and what to take instead,
-- as KIND/ID. And the category of the active version, where its kind has one.
ALTER TABLE entries ADD COLUMN status_reason TEXT;
ALTER TABLE entries ADD COLUMN replacement TEXT;
ALTER TABLE entries ADD COLUMN category TEXT;

-- Mirrors follow a kind by when its entries changed. On PostgreSQL an update of an entry writes to its indexes from here on.
CREATE INDEX entries_by_change ON entries (tenant_id, kind, updated_at, id);

-- Versions that were taken back. The versions themselves stay as they are: immutable.
CREATE TABLE withdrawals (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    version TEXT NOT NULL,
    reason TEXT NOT NULL,
    withdrawn_by TEXT NOT NULL,
    withdrawn_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, kind, entry_id, version),
    FOREIGN KEY (tenant_id, kind, entry_id, version) REFERENCES versions (tenant_id, kind, entry_id, version)
);
