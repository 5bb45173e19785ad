-- Mirrors follow every kind at once by when entries changed.
CREATE INDEX entries_by_change_of_all ON entries (tenant_id, updated_at, kind, id);
