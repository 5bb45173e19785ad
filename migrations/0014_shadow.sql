-- Releases that run beside the active one of their scope and decide nothing. One of a scope runs; those that ended stay.
CREATE TABLE shadows (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    scope TEXT NOT NULL,
    release_number BIGINT NOT NULL,
    release_digest TEXT NOT NULL,
    percent BIGINT NOT NULL,
    -- shadowing, staged; activated, demoted, stopped.
    state TEXT NOT NULL,
    -- Why it is in this state; empty while it runs.
    reason TEXT NOT NULL,
    -- When a staged one is activated and what demotes it, as JSON.
    plan TEXT,
    started_by TEXT NOT NULL,
    started_at BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    changed_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, scope, release_number, release_digest)
        REFERENCES releases (tenant_id, scope, number, digest)
);

CREATE UNIQUE INDEX shadows_running ON shadows (tenant_id, scope) WHERE state IN ('shadowing', 'staged');
CREATE INDEX shadows_by_scope ON shadows (tenant_id, scope, id);

-- One row for each decision that a shadow ran beside, written with the decision. No row is ever updated, so publishes
-- that run at once do not wait for each other, and what is counted is what was committed.
CREATE TABLE shadow_results (
    tenant_id TEXT NOT NULL,
    shadow_id TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    entry_id TEXT NOT NULL,
    version TEXT NOT NULL,
    -- agreed, newly-rejected, newly-approved, other-findings, failed.
    agreement TEXT NOT NULL,
    slower_micros BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, shadow_id, decision_id)
);

CREATE INDEX shadow_results_by_agreement ON shadow_results (tenant_id, shadow_id, agreement, decision_id);

-- The codes that the shadow finds and the active release does not (new), or the other way round (gone).
CREATE TABLE shadow_codes (
    tenant_id TEXT NOT NULL,
    shadow_id TEXT NOT NULL,
    change TEXT NOT NULL,
    code TEXT NOT NULL,
    decision_id TEXT NOT NULL,
    PRIMARY KEY (tenant_id, shadow_id, change, code, decision_id)
);

-- Of the policies' row alone: raised by every change of a shadow, so that hosts learn of it as of a new release.
ALTER TABLE rulesets ADD COLUMN shadows BIGINT NOT NULL DEFAULT 0;
