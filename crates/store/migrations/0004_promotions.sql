-- Which model answers for a tenant, so that every server over one database comes to it.
CREATE TABLE promotions (
    tenant TEXT NOT NULL PRIMARY KEY,
    id TEXT NOT NULL,
    model TEXT NOT NULL,
    time BIGINT NOT NULL
)
