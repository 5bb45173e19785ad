ALTER TABLE rulesets DROP COLUMN exemptions;
DROP TABLE exemptions;
