-- What a token may do, and for how long.
ALTER TABLE tokens RENAME COLUMN role TO roles;
-- Patterns of the entries that it may change, as a JSON array; an empty one stands for every entry.
ALTER TABLE tokens ADD COLUMN entries TEXT NOT NULL DEFAULT '[]';
ALTER TABLE tokens ADD COLUMN created_by TEXT NOT NULL DEFAULT 'serve';
-- The first instant at which it does not hold.
ALTER TABLE tokens ADD COLUMN expires_at BIGINT;
-- Written at most once a minute.
ALTER TABLE tokens ADD COLUMN last_used_at BIGINT;
ALTER TABLE tokens ADD COLUMN revoked_by TEXT;
