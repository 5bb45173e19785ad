-- A row that names its tenant locks the tenant's row, and publishes that run at once all lock the same one: PostgreSQL
-- keeps a list of them on it, written by each. What a publish writes stands under a ruleset that names the tenant, which
-- the publish has read, and a tenant is never deleted.
ALTER TABLE entries DROP CONSTRAINT entries_tenant_id_fkey;
ALTER TABLE decisions DROP CONSTRAINT decisions_tenant_id_fkey;
ALTER TABLE inbox DROP CONSTRAINT inbox_tenant_id_fkey;
