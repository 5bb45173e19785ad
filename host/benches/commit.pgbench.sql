-- The rows of one publish (src/sql/publishing.rs), a transaction each; pgbench.rs gives the variables.
\set n random(1, 9000000000000000000)
BEGIN;
SELECT pg_advisory_xact_lock_shared(1);
SELECT scope, active_number AS number, active_digest AS digest FROM rulesets WHERE tenant_id = 'default' AND active_number IS NOT NULL AND scope IN (:scope, 'policies');
INSERT INTO inbox (tenant_id, key, created_at) VALUES ('default', :key || :client_id || '-' || :n, 1700000000000) ON CONFLICT (tenant_id, key) DO NOTHING;
INSERT INTO entries (tenant_id, kind, id, name, description, status, current_version, highest_version, tags, created_at, updated_at) VALUES ('default', 'agents', 'bench-' || :client_id, 'a bench agent', 'what it is for', 'active', CAST(:n AS text), CAST(:n AS text), '["a","b"]', 1700000000000, 1700000000000) ON CONFLICT (tenant_id, kind, id) DO UPDATE SET name = excluded.name, description = excluded.description, current_version = excluded.current_version, tags = excluded.tags, updated_at = excluded.updated_at RETURNING kind, id, name, description, status, current_version, highest_version, tags, created_at, updated_at;
INSERT INTO decisions (tenant_id, id, kind, entry_id, version, outcome, body, created_at) VALUES ('default', '018bcfe5-6800-72dd-' || :n, 'agents', 'bench-' || :client_id, CAST(:n AS text), 'approved', :decision, 1700000000000);
INSERT INTO versions (tenant_id, kind, entry_id, version, digest, submitted_digest, manifest, decision_id, published_by, published_at) VALUES ('default', 'agents', 'bench-' || :client_id, CAST(:n AS text), :digest, :digest, :manifest, '018bcfe5-6800-72dd-' || :n, 'ada', 1700000000000) ON CONFLICT (tenant_id, kind, entry_id, version) DO NOTHING;
INSERT INTO events (tenant_id, id, what, kind, entry_id, body, created_at) VALUES ('default', '018bcfe5-6800-72dd-' || :n, 'entry.published', 'agents', 'bench-' || :client_id, :event, 1700000000000);
INSERT INTO audit (tenant_id, id, what, actor, subject, body, created_at) VALUES ('default', '018bcfe5-6800-72dd-' || :n, 'entry.published', 'ada', 'agents/bench-' || :client_id || '@' || :n, '{"decision":"018bcfe5-6800-72dd-' || :n || '","digest":"' || :digest || '"}', 1700000000000);
END;
