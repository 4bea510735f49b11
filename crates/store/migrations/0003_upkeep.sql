-- How much other processes than a server wrote, by which it notices; and who changed what, told by the scope of administrators.
CREATE TABLE outside (
    tenant TEXT NOT NULL PRIMARY KEY,
    changes BIGINT NOT NULL,
    items BIGINT NOT NULL,
    events BIGINT NOT NULL
);
CREATE TABLE audit (
    tenant TEXT NOT NULL,
    id TEXT NOT NULL,
    time BIGINT NOT NULL,
    who TEXT NOT NULL,
    act TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (tenant, id)
);
CREATE INDEX audit_by_time ON audit (time)
