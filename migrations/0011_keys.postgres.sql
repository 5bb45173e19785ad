-- Names compare by their bytes, as in every table.
ALTER TABLE trusted_keys
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN id TYPE TEXT COLLATE "C";
ALTER TABLE plugin_signatures
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN plugin_digest TYPE TEXT COLLATE "C",
    ALTER COLUMN key_id TYPE TEXT COLLATE "C";
