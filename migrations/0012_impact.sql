-- Runs of the preview (impact): what a candidate's rules would say of what is stored. The work is cut into chunks by
-- ranges of entries' ids; a chunk's result is written once, together with the run's progress.

CREATE TABLE impacts (
    tenant_id TEXT NOT NULL,
    id TEXT NOT NULL,
    scope TEXT NOT NULL,
    candidate_digest TEXT NOT NULL,
    candidate_rules TEXT NOT NULL,
    -- None where the rules came from a folder.
    candidate_number BIGINT,
    -- JSON: the releases that were active at the start, which the candidate is compared with.
    active TEXT NOT NULL,
    -- JSON: what is judged.
    what TEXT NOT NULL,
    state TEXT NOT NULL,
    why TEXT,
    versions BIGINT NOT NULL,
    judged BIGINT NOT NULL,
    chunks BIGINT NOT NULL,
    chunks_done BIGINT NOT NULL,
    -- Events that there were at the start, and the last one's number: equal later where nothing was published since.
    events BIGINT NOT NULL,
    last_event BIGINT NOT NULL,
    author TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    progressed_at BIGINT NOT NULL,
    -- Times in a row that its chunks were handed out again without progress.
    repeated BIGINT NOT NULL,
    ended_at BIGINT,
    PRIMARY KEY (tenant_id, id)
);

CREATE INDEX impacts_running ON impacts (tenant_id, id) WHERE state = 'running';

-- A chunk is of the entries after one id up to another, or of those that are named.
CREATE TABLE impact_chunks (
    tenant_id TEXT NOT NULL,
    impact_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    kind TEXT NOT NULL,
    after_id TEXT NOT NULL,
    until_id TEXT NOT NULL,
    -- JSON: the ids; none where the range says it.
    ids TEXT,
    done_at BIGINT,
    -- JSON: counts and examples.
    result TEXT,
    PRIMARY KEY (tenant_id, impact_id, number),
    FOREIGN KEY (tenant_id, impact_id) REFERENCES impacts (tenant_id, id)
);
