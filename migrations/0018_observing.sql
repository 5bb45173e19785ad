-- What a binding that observes would have changed is counted as what a shadow would have said. An observer is a shadow, by
-- its id, or a binding of a release, as policies#7/house.
ALTER TABLE shadow_results RENAME TO observations;
ALTER TABLE observations RENAME COLUMN shadow_id TO observer;
DROP INDEX shadow_results_by_agreement;
CREATE INDEX observations_by_agreement ON observations (tenant_id, observer, agreement, decision_id);
ALTER TABLE shadow_codes RENAME TO observation_codes;
ALTER TABLE observation_codes RENAME COLUMN shadow_id TO observer;
