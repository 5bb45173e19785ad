DROP INDEX entries_by_change_of_all;
