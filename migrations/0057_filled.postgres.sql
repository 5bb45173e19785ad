-- Names compare by their bytes, as on SQLite.
ALTER TABLE filled_kinds
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ALTER COLUMN entry_id TYPE TEXT COLLATE "C",
    ALTER COLUMN version TYPE TEXT COLLATE "C";
