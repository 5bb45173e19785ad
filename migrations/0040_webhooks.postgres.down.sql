-- The tables go with 0039.
SELECT 1;
