-- The collation stays: 0024 does not depend on it, and it drops the table.
SELECT 1;
