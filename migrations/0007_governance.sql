-- Who activated the active release, and whether it may be replaced. Null where it was activated before this was kept.
ALTER TABLE rulesets ADD COLUMN activated_by TEXT;
ALTER TABLE rulesets ADD COLUMN frozen_at BIGINT;
ALTER TABLE rulesets ADD COLUMN frozen_by TEXT;
ALTER TABLE rulesets ADD COLUMN freeze_reason TEXT;
