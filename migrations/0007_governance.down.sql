ALTER TABLE rulesets DROP COLUMN freeze_reason;
ALTER TABLE rulesets DROP COLUMN frozen_by;
ALTER TABLE rulesets DROP COLUMN frozen_at;
ALTER TABLE rulesets DROP COLUMN activated_by;
