ALTER TABLE decisions ALTER COLUMN submission SET COMPRESSION default;
