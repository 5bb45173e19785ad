-- As on SQLite: by their bytes.
ALTER TABLE withdrawals
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ALTER COLUMN entry_id TYPE TEXT COLLATE "C",
    ALTER COLUMN version TYPE TEXT COLLATE "C";
