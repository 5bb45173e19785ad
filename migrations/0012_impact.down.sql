DROP TABLE impact_chunks;
DROP TABLE impacts;
