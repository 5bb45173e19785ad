-- Names compare by their bytes, and what was sent is compressed as manifests are.
ALTER TABLE decisions
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ALTER COLUMN entry_id TYPE TEXT COLLATE "C";

DO $$
BEGIN
    ALTER TABLE decisions ALTER COLUMN submission SET COMPRESSION lz4;
EXCEPTION WHEN feature_not_supported THEN
    NULL;
END
$$;
