DO $$
DECLARE
    policy RECORD;
BEGIN
    FOR policy IN
        SELECT tablename, policyname FROM pg_policies
        WHERE schemaname = current_schema() AND policyname IN ('of_its_tenant', 'shown', 'listed')
    LOOP
        EXECUTE format('DROP POLICY %I ON %I', policy.policyname, policy.tablename);
        EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', policy.tablename);
        EXECUTE format('ALTER TABLE %I DISABLE ROW LEVEL SECURITY', policy.tablename);
    END LOOP;
END
$$;
