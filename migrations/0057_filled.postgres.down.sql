-- The table goes with 0056.
SELECT 1;
