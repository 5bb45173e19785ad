DROP TABLE filled_kinds;
