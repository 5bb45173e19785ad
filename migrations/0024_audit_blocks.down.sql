CREATE INDEX audit_by_time ON audit (tenant_id, created_at, place) WHERE place IS NOT NULL;
DROP TABLE audit_blocks;
