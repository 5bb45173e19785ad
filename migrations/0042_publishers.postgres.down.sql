-- The table goes with 0041.
SELECT 1;
