DROP INDEX entry_texts_by_word;
ALTER TABLE entry_texts DROP COLUMN words;
ALTER TABLE entry_texts ALTER COLUMN number DROP IDENTITY;
ALTER TABLE entry_texts ALTER COLUMN number TYPE INTEGER;
