-- Where a time stands in the audit log. Rows have places in the order in which they were sealed, and times that hosts with
-- different clocks gave them: near that order, and not in it. For each 256 places: the latest time of these rows and all
-- before, and the earliest of these and all after. Neither ever falls from one block to the next, so one look finds the
-- block of the first row at or after a time, and one that of the last row before it (docs/decisions/0025).
CREATE TABLE audit_blocks (
    tenant_id TEXT NOT NULL,
    block BIGINT NOT NULL,
    latest_at BIGINT NOT NULL,
    earliest_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, block)
);
CREATE INDEX audit_blocks_by_latest ON audit_blocks (tenant_id, latest_at, block);
CREATE INDEX audit_blocks_by_earliest ON audit_blocks (tenant_id, earliest_at, block);

INSERT INTO audit_blocks (tenant_id, block, latest_at, earliest_at)
SELECT tenant_id, block,
       MAX(latest_at) OVER (PARTITION BY tenant_id ORDER BY block),
       MIN(earliest_at) OVER (PARTITION BY tenant_id ORDER BY block DESC)
FROM (SELECT tenant_id, (place - 1) / 256 AS block, MAX(created_at) AS latest_at, MIN(created_at) AS earliest_at
      FROM audit WHERE place IS NOT NULL GROUP BY tenant_id, (place - 1) / 256) AS blocks;

-- The blocks took its work.
DROP INDEX audit_by_time;
