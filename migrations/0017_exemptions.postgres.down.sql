-- The collation stays: 0010 does not depend on it, and it drops the table.
SELECT 1;
