-- Who is told of events, and what was sent to whom.

-- No secret stands here: it is made from the hosts' key (key_id says which) and the salt.
CREATE TABLE webhooks (
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    id TEXT NOT NULL,
    url TEXT NOT NULL,
    -- JSON arrays; an empty one stands for every.
    types TEXT NOT NULL,
    kinds TEXT NOT NULL,
    key_id TEXT NOT NULL,
    salt TEXT NOT NULL,
    -- The salt before the last rotation, which signs too until then.
    previous_salt TEXT,
    previous_until BIGINT,
    -- Deliveries that were given up since the last that arrived.
    failures BIGINT NOT NULL DEFAULT 0,
    disabled_at BIGINT,
    disabled_reason TEXT,
    created_by TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (tenant_id, id)
);

-- One event for one webhook, written when the event is given its place. Of those that wait in a lane the first is sent alone.
CREATE TABLE deliveries (
    tenant_id TEXT NOT NULL,
    webhook_id TEXT NOT NULL,
    id TEXT NOT NULL,
    place BIGINT NOT NULL,
    lane TEXT NOT NULL,
    -- waiting, delivered, given-up.
    state TEXT NOT NULL,
    -- A JSON array of what came of each.
    attempts TEXT NOT NULL,
    next_at BIGINT NOT NULL,
    -- Until when a host is believed to send it; it is that host's right as well.
    leased_until BIGINT NOT NULL DEFAULT 0,
    created_at BIGINT NOT NULL,
    finished_at BIGINT,
    replay_of TEXT,
    PRIMARY KEY (tenant_id, webhook_id, id),
    FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhooks (tenant_id, id) ON DELETE CASCADE
);

CREATE INDEX deliveries_waiting ON deliveries (tenant_id, webhook_id, place) WHERE state = 'waiting';
CREATE INDEX deliveries_by_lane ON deliveries (tenant_id, webhook_id, lane, place) WHERE state = 'waiting';
CREATE INDEX deliveries_by_place ON deliveries (tenant_id, place);
