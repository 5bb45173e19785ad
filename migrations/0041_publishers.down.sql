DROP TABLE trusted_publishers;
