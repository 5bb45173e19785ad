DROP TRIGGER audit_keep_deleted;
DROP TRIGGER audit_keep_row;
