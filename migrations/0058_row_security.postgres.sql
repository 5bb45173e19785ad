-- Row-level security: of each table that has tenants' rows, a transaction sees and writes those of the tenant that it
-- carries (hallmark.tenant, set for the transaction). One that carries none sees nothing and writes nothing. FORCE holds
-- the tables' owner to it as well; a superuser, or a role with BYPASSRLS, cannot be held to it, so no host serves as one.
--
-- A later step that makes a table with tenant_id does the same for it. One that changes rows of tenants says
-- ALTER TABLE … NO FORCE ROW LEVEL SECURITY before and FORCE after; without, it fails: steps run with row_security off.
--
-- A setting that was set for a transaction is an empty text after it, not nothing: no row is an empty name's.
DO $$
DECLARE
    carried CONSTANT TEXT := $text$NULLIF(current_setting('hallmark.tenant', true), '')$text$;
    of_tenants RECORD;
BEGIN
    FOR of_tenants IN
        SELECT tables.relname AS name, columns.attname AS tenant
        FROM pg_class AS tables JOIN pg_attribute AS columns ON columns.attrelid = tables.oid
        WHERE tables.relnamespace = current_schema()::regnamespace AND tables.relkind = 'r' AND NOT columns.attisdropped
              AND columns.attname = CASE tables.relname WHEN 'tenants' THEN 'id' ELSE 'tenant_id' END
        ORDER BY tables.relname
    LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', of_tenants.name);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', of_tenants.name);
        EXECUTE format('CREATE POLICY of_its_tenant ON %1$I USING (%2$I = %3$s) WITH CHECK (%2$I = %3$s)',
                       of_tenants.name, of_tenants.tenant, carried);
    END LOOP;
END
$$;

-- Whose a token is, is found by the token alone: whoever shows it has said nothing else yet.
CREATE POLICY shown ON tokens FOR SELECT USING (hash = NULLIF(current_setting('hallmark.token', true), ''));

-- The list of tenants, for who goes through them one after another.
CREATE POLICY listed ON tenants FOR SELECT USING (current_setting('hallmark.tenants', true) = 'listed');
