ALTER TABLE rulesets DROP COLUMN shadows;
DROP TABLE shadow_codes;
DROP TABLE shadow_results;
DROP TABLE shadows;
