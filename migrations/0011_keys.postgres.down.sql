-- The tables go with 0007.
SELECT 1;
