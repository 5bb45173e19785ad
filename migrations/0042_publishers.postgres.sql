-- Names compare by their bytes, as on SQLite.
ALTER TABLE trusted_publishers
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN id TYPE TEXT COLLATE "C";
