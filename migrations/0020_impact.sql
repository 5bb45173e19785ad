-- A preview judges by the exemptions that held when it began, whichever host judges when: JSON, with their number, how many
-- they are and the end of the first. No number is -1: runs from before fit no activation.
ALTER TABLE impacts ADD COLUMN exemptions TEXT NOT NULL DEFAULT '[]';
ALTER TABLE impacts ADD COLUMN exemptions_number BIGINT NOT NULL DEFAULT -1;
ALTER TABLE impacts ADD COLUMN exemptions_held BIGINT NOT NULL DEFAULT 0;
ALTER TABLE impacts ADD COLUMN exemptions_until BIGINT;
-- The bindings that declare settings independent which are not: from then on the run judges by whole settings.
ALTER TABLE impacts ADD COLUMN not_independent TEXT;
