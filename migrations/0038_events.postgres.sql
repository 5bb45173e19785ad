-- As on SQLite: the outbox tells of more than entries, and gives each event a place in the tenant's line.
ALTER TABLE events
    ALTER COLUMN kind DROP NOT NULL,
    ALTER COLUMN entry_id DROP NOT NULL,
    ADD COLUMN subject TEXT,
    ADD COLUMN place BIGINT;

UPDATE events SET place = placed.place
FROM (SELECT sequence, ROW_NUMBER() OVER (PARTITION BY tenant_id ORDER BY sequence) AS place
      FROM events WHERE announced_at IS NOT NULL) AS placed
WHERE events.sequence = placed.sequence;

CREATE UNIQUE INDEX events_by_place ON events (tenant_id, place);
