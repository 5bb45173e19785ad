-- The collation stays: 0009 does not depend on it, and it drops the tables.
SELECT 1;
