-- What was sent, secrets masked, so that the gate can be run on it again. None where it is what the version holds that
-- the decision let in, and in decisions of the time before.
ALTER TABLE decisions ADD COLUMN submission TEXT;

-- Why was mine refused? Those that were let in are found through their versions, so that publishing them pays for no
-- index.
CREATE INDEX decisions_refused ON decisions (tenant_id, kind, entry_id, id) WHERE outcome <> 'approved';
