CREATE TABLE events_of_entries (
    sequence INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    what TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    body TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    announced_at BIGINT,
    UNIQUE (tenant_id, id),
    FOREIGN KEY (tenant_id, kind, entry_id) REFERENCES entries (tenant_id, kind, id)
);

INSERT INTO events_of_entries (sequence, tenant_id, id, what, kind, entry_id, body, created_at, announced_at)
SELECT sequence, tenant_id, id, what, kind, entry_id, body, created_at, announced_at FROM events WHERE kind IS NOT NULL;

DROP TABLE events;
ALTER TABLE events_of_entries RENAME TO events;

CREATE INDEX events_pending ON events (sequence) WHERE announced_at IS NULL;
