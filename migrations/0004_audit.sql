-- The audit log: one row for each change, written in the change's own transaction. A row is sealed soon after: it is
-- given its place in the tenant's chain (1, 2, 3 …) and a hash over itself and the row before. What refuses to change
-- it is written for each engine, in 0005_audit.postgres.sql and 0006_audit.sqlite.sql.
--
-- SQLite numbers a row one above the highest that is there; PostgreSQL numbers from a sequence (0005).
CREATE TABLE audit (
    sequence INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    what TEXT NOT NULL,
    actor TEXT NOT NULL,
    subject TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    place BIGINT,
    hash TEXT
);

-- Rows that are not sealed are found by that alone, never by a cursor: on PostgreSQL numbers become visible out of order.
CREATE INDEX audit_waiting ON audit (tenant_id, sequence) WHERE place IS NULL;

-- What follows is written when a row is sealed, so that a publish pays for none of it.
CREATE UNIQUE INDEX audit_by_place ON audit (tenant_id, place) WHERE place IS NOT NULL;
CREATE INDEX audit_by_time ON audit (tenant_id, created_at, place) WHERE place IS NOT NULL;
