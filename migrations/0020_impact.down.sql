ALTER TABLE impacts DROP COLUMN not_independent;
ALTER TABLE impacts DROP COLUMN exemptions_until;
ALTER TABLE impacts DROP COLUMN exemptions_held;
ALTER TABLE impacts DROP COLUMN exemptions_number;
ALTER TABLE impacts DROP COLUMN exemptions;
