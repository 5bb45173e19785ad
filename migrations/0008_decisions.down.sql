DROP INDEX decisions_refused;
ALTER TABLE decisions DROP COLUMN submission;
