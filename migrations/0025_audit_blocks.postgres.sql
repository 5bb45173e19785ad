-- As on SQLite: by their bytes.
ALTER TABLE audit_blocks ALTER COLUMN tenant_id TYPE TEXT COLLATE "C";
