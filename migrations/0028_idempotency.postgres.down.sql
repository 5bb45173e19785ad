-- The table goes with 0027.
SELECT 1;
