-- Of each name only the newest rating stays.
DELETE FROM ratings WHERE EXISTS (
    SELECT 1 FROM ratings AS later
    WHERE later.tenant_id = ratings.tenant_id AND later.kind = ratings.kind AND later.entry_id = ratings.entry_id
        AND later.submitted_by = ratings.submitted_by AND later.id > ratings.id
);
UPDATE entry_ratings SET
    count = (
        SELECT COUNT(*) FROM ratings
        WHERE ratings.tenant_id = entry_ratings.tenant_id AND ratings.kind = entry_ratings.kind
            AND ratings.entry_id = entry_ratings.entry_id
    ),
    total = (
        SELECT COALESCE(SUM(rating), 0) FROM ratings
        WHERE ratings.tenant_id = entry_ratings.tenant_id AND ratings.kind = entry_ratings.kind
            AND ratings.entry_id = entry_ratings.entry_id
    );
DROP INDEX ratings_by_name;
CREATE UNIQUE INDEX ratings_by_name ON ratings (tenant_id, kind, entry_id, submitted_by) WHERE submitted_by IS NOT NULL;
