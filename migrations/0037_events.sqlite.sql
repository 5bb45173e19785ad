-- The outbox tells of more than entries: kind and entry_id are none where an event is about no entry, and subject says what it is
-- about. SQLite cannot make a column nullable: the table is made anew.
CREATE TABLE events_of_all (
    sequence INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    what TEXT NOT NULL,
    kind TEXT,
    entry_id TEXT,
    subject TEXT,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    announced_at BIGINT,
    -- Its place in the tenant's line, given when it is announced, one after another: what readers resume after.
    place BIGINT,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, kind, entry_id) REFERENCES entries (tenant_id, kind, id)
);

INSERT INTO events_of_all (sequence, tenant_id, id, what, kind, entry_id, body, created_at, announced_at, place)
SELECT sequence, tenant_id, id, what, kind, entry_id, body, created_at, announced_at,
       CASE WHEN announced_at IS NOT NULL THEN SUM(announced_at IS NOT NULL) OVER (PARTITION BY tenant_id ORDER BY sequence) END
FROM events;

DROP TABLE events;
ALTER TABLE events_of_all RENAME TO events;

CREATE INDEX events_pending ON events (sequence) WHERE announced_at IS NULL;
CREATE UNIQUE INDEX events_by_place ON events (tenant_id, place);
