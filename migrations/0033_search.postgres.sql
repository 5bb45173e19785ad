ALTER TABLE entry_texts
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN kind TYPE TEXT COLLATE "C",
    ALTER COLUMN entry_id TYPE TEXT COLLATE "C";
ALTER TABLE entry_texts ALTER COLUMN number TYPE BIGINT;
ALTER TABLE entry_texts ALTER COLUMN number ADD GENERATED ALWAYS AS IDENTITY;

-- The words as they are: a cast asks no dictionary and no parser of PostgreSQL's.
ALTER TABLE entry_texts ADD COLUMN words tsvector
    GENERATED ALWAYS AS ((title || ' ' || about || ' ' || body)::tsvector) STORED;
CREATE INDEX entry_texts_by_word ON entry_texts USING GIN (words);
