-- What the search finds entries by: the words of the active version, cut and written by the host, so that both engines
-- have the same ones. Each column holds words with a space between: of the id and the name; of the category, the tags and
-- the description; of all other texts. The indexes over them are each engine's own (0032, 0033).
CREATE TABLE entry_texts (
    number INTEGER PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    title TEXT NOT NULL,
    about TEXT NOT NULL,
    body TEXT NOT NULL,
    UNIQUE (tenant_id, kind, entry_id)
);
