-- Valid on SQLite and Postgres alike. Times are unix milliseconds; an empty text means "none", so that no column is null.
CREATE TABLE tenants (
    name TEXT NOT NULL PRIMARY KEY,
    created BIGINT NOT NULL
);
CREATE TABLE api_keys (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL PRIMARY KEY,
    label TEXT NOT NULL,
    hash TEXT NOT NULL,
    scope TEXT NOT NULL,
    created BIGINT NOT NULL,
    revoked BIGINT NOT NULL
);
CREATE TABLE events (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    item_id TEXT NOT NULL,
    kind TEXT NOT NULL,
    value DOUBLE PRECISION NOT NULL,
    time BIGINT NOT NULL,
    recommendation TEXT NOT NULL,
    comment TEXT NOT NULL,
    detail TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX events_of_user ON events (tenant, user_id, time);
CREATE INDEX events_of_item ON events (tenant, item_id, time);
CREATE TABLE items (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    hidden BIGINT NOT NULL,
    categories TEXT NOT NULL,
    fields TEXT NOT NULL,
    comment TEXT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX items_by_time ON items (tenant, time);
CREATE TABLE users (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    fields TEXT NOT NULL,
    comment TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE TABLE erased (
    tenant TEXT NOT NULL,
    kind TEXT NOT NULL,
    id TEXT NOT NULL,
    time BIGINT NOT NULL,
    PRIMARY KEY (tenant, kind, id)
);
CREATE TABLE recommendations (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    time BIGINT NOT NULL,
    user_id TEXT NOT NULL,
    model TEXT NOT NULL,
    request TEXT NOT NULL,
    list TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX recommendations_by_time ON recommendations (time);
CREATE INDEX recommendations_of_user ON recommendations (tenant, user_id)
