-- How far the versions of a kind that were stored before words, categories and references were kept (0029 to 0035) were
-- given theirs. The host does it, since it is the host that cuts words.
CREATE TABLE filled_kinds (
    tenant_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    -- The last that was gone through, in the order of entries and versions.
    entry_id TEXT NOT NULL,
    version TEXT NOT NULL,
    -- Empty while some are left.
    finished_at BIGINT,
    PRIMARY KEY (tenant_id, kind)
);
