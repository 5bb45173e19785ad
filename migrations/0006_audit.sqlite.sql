-- What only SQLite has of the audit log.

-- What was published before there was a log.
INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at)
SELECT tenant_id, decision_id, 'entry.published', published_by, kind || '/' || entry_id || '@' || version,
       '{"before":"the log","decision":"' || decision_id || '","digest":"' || digest || '"}', published_at
FROM versions ORDER BY published_at, decision_id;

-- Sealing gives a row its place and its hash, once; nothing else of it ever changes.
CREATE TRIGGER audit_keep_row BEFORE UPDATE ON audit
WHEN OLD.place IS NOT NULL OR NEW.place IS NULL OR NEW.hash IS NULL
     OR (NEW.sequence, NEW.tenant_id, NEW.id, NEW.what, NEW.actor, NEW.subject, NEW.body, NEW.created_at)
        IS NOT
        (OLD.sequence, OLD.tenant_id, OLD.id, OLD.what, OLD.actor, OLD.subject, OLD.body, OLD.created_at)
BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log are never changed or deleted');
END;
CREATE TRIGGER audit_keep_deleted BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'rows of the audit log are never changed or deleted');
END;
