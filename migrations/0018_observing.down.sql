DELETE FROM observation_codes WHERE observer LIKE '%#%';
DELETE FROM observations WHERE observer LIKE '%#%';
ALTER TABLE observation_codes RENAME COLUMN observer TO shadow_id;
ALTER TABLE observation_codes RENAME TO shadow_codes;
DROP INDEX observations_by_agreement;
ALTER TABLE observations RENAME COLUMN observer TO shadow_id;
ALTER TABLE observations RENAME TO shadow_results;
CREATE INDEX shadow_results_by_agreement ON shadow_results (tenant_id, shadow_id, agreement, decision_id);
