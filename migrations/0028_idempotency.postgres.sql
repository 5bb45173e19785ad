-- Names compare by their bytes, as on SQLite.
ALTER TABLE idempotency_keys
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN caller TYPE TEXT COLLATE "C",
    ALTER COLUMN key TYPE TEXT COLLATE "C";
