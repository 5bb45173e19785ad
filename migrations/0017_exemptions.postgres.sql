-- Ids compare by their bytes, as on SQLite: newer ones are higher.
ALTER TABLE exemptions
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN id TYPE TEXT COLLATE "C";
