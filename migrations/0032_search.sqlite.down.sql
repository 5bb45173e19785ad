DROP TRIGGER entry_texts_removed;
DROP TRIGGER entry_texts_changed;
DROP TRIGGER entry_texts_added;
DROP TABLE entry_words;
