-- The tokenizer `ascii` takes every character that is not ASCII for part of a word, so words stay as the host cut them.
CREATE VIRTUAL TABLE entry_words USING fts5(
    title, about, body, content = 'entry_texts', content_rowid = 'number', tokenize = 'ascii'
);

CREATE TRIGGER entry_texts_added AFTER INSERT ON entry_texts BEGIN
    INSERT INTO entry_words (rowid, title, about, body) VALUES (new.number, new.title, new.about, new.body);
END;
CREATE TRIGGER entry_texts_changed AFTER UPDATE ON entry_texts BEGIN
    INSERT INTO entry_words (entry_words, rowid, title, about, body)
    VALUES ('delete', old.number, old.title, old.about, old.body);
    INSERT INTO entry_words (rowid, title, about, body) VALUES (new.number, new.title, new.about, new.body);
END;
CREATE TRIGGER entry_texts_removed AFTER DELETE ON entry_texts BEGIN
    INSERT INTO entry_words (entry_words, rowid, title, about, body)
    VALUES ('delete', old.number, old.title, old.about, old.body);
END;
