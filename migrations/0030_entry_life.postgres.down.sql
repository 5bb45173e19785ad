-- The table goes with 0029.
SELECT 1;
