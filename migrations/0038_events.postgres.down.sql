DROP INDEX events_by_place;
DELETE FROM events WHERE kind IS NULL;
ALTER TABLE events
    DROP COLUMN place,
    DROP COLUMN subject,
    ALTER COLUMN entry_id SET NOT NULL,
    ALTER COLUMN kind SET NOT NULL;
