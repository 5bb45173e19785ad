ALTER TABLE releases ALTER COLUMN rules SET COMPRESSION default;
ALTER TABLE decisions ALTER COLUMN body SET COMPRESSION default;
ALTER TABLE versions ALTER COLUMN manifest SET COMPRESSION default;
ALTER TABLE entries RESET (fillfactor);
ALTER TABLE rulesets RESET (fillfactor);
ALTER TABLE events ALTER COLUMN sequence DROP IDENTITY;
ALTER TABLE events ALTER COLUMN sequence TYPE INTEGER;
-- The collation stays: 0001 does not depend on it, and byte order is what SQLite has anyway.
