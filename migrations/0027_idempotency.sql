-- Requests that carried an Idempotency-Key, with their answers, for a day.
CREATE TABLE idempotency_keys (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    -- The token's name: one that is replaced by another of its name keeps its keys.
    caller TEXT NOT NULL,
    key TEXT NOT NULL,
    -- SHA-256 of the request.
    fingerprint TEXT NOT NULL,
    -- Which run of the request it is: one that was given up finds that another took over.
    attempt TEXT NOT NULL,
    -- Until when it is believed to run.
    leased_until BIGINT NOT NULL,
    -- Until when it is kept.
    expires_at BIGINT NOT NULL,
    -- None while it runs.
    status BIGINT,
    content_type TEXT,
    location TEXT,
    etag TEXT,
    -- None where the answer held a secret.
    body TEXT,
    PRIMARY KEY (tenant_id, caller, key)
);

CREATE INDEX idempotency_keys_by_end ON idempotency_keys (tenant_id, expires_at);
