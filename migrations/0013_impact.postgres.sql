-- Names compare by their bytes, as on SQLite (0002).
ALTER TABLE impact_chunks DROP CONSTRAINT impact_chunks_tenant_id_impact_id_fkey;
ALTER TABLE impacts
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN id TYPE TEXT COLLATE "C";
ALTER TABLE impact_chunks
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN impact_id TYPE TEXT COLLATE "C",
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ADD FOREIGN KEY (tenant_id, impact_id) REFERENCES impacts (tenant_id, id);
