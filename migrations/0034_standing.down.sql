DROP TABLE entry_uses;
DROP TABLE entry_ratings;
DROP TABLE ratings;
DROP TABLE version_references;
