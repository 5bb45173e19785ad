DROP TRIGGER audit_keep_emptied ON audit;
DROP TRIGGER audit_keep_deleted ON audit;
DROP TRIGGER audit_keep_row ON audit;
DROP FUNCTION audit_keep();
ALTER TABLE audit ALTER COLUMN sequence DROP IDENTITY;
ALTER TABLE audit ALTER COLUMN sequence TYPE INTEGER;
