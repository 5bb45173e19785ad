ALTER TABLE tenants DROP COLUMN signatures_required;
DROP TABLE plugin_signatures;
DROP TABLE trusted_keys;
