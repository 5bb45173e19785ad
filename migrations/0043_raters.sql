-- Each caller is heard once for each name that it speaks for: nobody replaces what another caller said.
DROP INDEX ratings_by_name;
CREATE UNIQUE INDEX ratings_by_name ON ratings (tenant_id, kind, entry_id, submitted_by, actor)
    WHERE submitted_by IS NOT NULL;
