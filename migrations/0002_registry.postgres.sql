-- What only PostgreSQL has.

-- Names compare by their bytes, as on SQLite, whatever the database's own collation: pages have one order on both
-- engines, and comparing is a memcmp.
ALTER TABLE tenants ALTER COLUMN id TYPE TEXT COLLATE "C";
ALTER TABLE tokens
    ALTER COLUMN id TYPE TEXT COLLATE "C",
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN name TYPE TEXT COLLATE "C",
    ALTER COLUMN hash TYPE TEXT COLLATE "C";
ALTER TABLE plugins
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN digest TYPE TEXT COLLATE "C",
    ALTER COLUMN name TYPE TEXT COLLATE "C";
ALTER TABLE releases
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN scope TYPE TEXT COLLATE "C",
    ALTER COLUMN digest TYPE TEXT COLLATE "C";
ALTER TABLE rulesets
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN scope TYPE TEXT COLLATE "C",
    ALTER COLUMN active_digest TYPE TEXT COLLATE "C";
ALTER TABLE entries
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ALTER COLUMN id TYPE TEXT COLLATE "C";
ALTER TABLE decisions
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN id TYPE TEXT COLLATE "C";
ALTER TABLE versions
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ALTER COLUMN entry_id TYPE TEXT COLLATE "C",
    ALTER COLUMN version TYPE TEXT COLLATE "C",
    ALTER COLUMN decision_id TYPE TEXT COLLATE "C";
ALTER TABLE inbox
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN key TYPE TEXT COLLATE "C";
ALTER TABLE events
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN id TYPE TEXT COLLATE "C",
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ALTER COLUMN entry_id TYPE TEXT COLLATE "C";

-- SQLite's INTEGER has 64 bits and numbers itself; this one must be told both.
ALTER TABLE events ALTER COLUMN sequence TYPE BIGINT;
ALTER TABLE events ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY;

-- Rows that are updated in place keep room on their page, so that an update touches no index.
ALTER TABLE rulesets SET (fillfactor = 50);
ALTER TABLE entries SET (fillfactor = 80);

-- Manifests and decisions are compressed with LZ4, several times faster than the default, where the server has it.
DO $$
BEGIN
    ALTER TABLE versions ALTER COLUMN manifest SET COMPRESSION lz4;
    ALTER TABLE decisions ALTER COLUMN body SET COMPRESSION lz4;
    ALTER TABLE releases ALTER COLUMN rules SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
