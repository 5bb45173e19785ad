-- The collation stays, as in 0002.
SELECT 1;
