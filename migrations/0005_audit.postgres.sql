-- What only PostgreSQL has of the audit log.

ALTER TABLE audit
    ALTER COLUMN tenant_id TYPE TEXT COLLATE "C",
    ALTER COLUMN id TYPE TEXT COLLATE "C",
    ALTER COLUMN subject TYPE TEXT COLLATE "C";

-- SQLite's INTEGER has 64 bits and numbers itself; this one must be told both.
ALTER TABLE audit ALTER COLUMN sequence TYPE BIGINT;
ALTER TABLE audit ALTER COLUMN sequence ADD GENERATED ALWAYS AS IDENTITY;

-- What was published before there was a log.
INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at)
SELECT tenant_id, decision_id, 'entry.published', published_by, kind || '/' || entry_id || '@' || version,
       '{"before":"the log","decision":"' || decision_id || '","digest":"' || digest || '"}', published_at
FROM versions ORDER BY published_at, decision_id;

CREATE FUNCTION audit_keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'rows of the audit log are never changed or deleted';
END
$$;

-- Sealing gives a row its place and its hash, once; nothing else of it ever changes.
CREATE TRIGGER audit_keep_row BEFORE UPDATE ON audit FOR EACH ROW
WHEN (OLD.place IS NOT NULL OR NEW.place IS NULL OR NEW.hash IS NULL
      OR (NEW.sequence, NEW.tenant_id, NEW.id, NEW.what, NEW.actor, NEW.subject, NEW.body, NEW.created_at)
         IS DISTINCT FROM
         (OLD.sequence, OLD.tenant_id, OLD.id, OLD.what, OLD.actor, OLD.subject, OLD.body, OLD.created_at))
EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_keep_deleted BEFORE DELETE ON audit FOR EACH ROW EXECUTE FUNCTION audit_keep();
CREATE TRIGGER audit_keep_emptied BEFORE TRUNCATE ON audit FOR EACH STATEMENT EXECUTE FUNCTION audit_keep();
