DROP TABLE withdrawals;
DROP INDEX entries_by_change;
ALTER TABLE entries DROP COLUMN category;
ALTER TABLE entries DROP COLUMN replacement;
ALTER TABLE entries DROP COLUMN status_reason;
