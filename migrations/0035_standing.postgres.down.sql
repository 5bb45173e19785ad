-- The tables go with 0034.
SELECT 1;
