-- Experiments, and which list belongs to which. Indexes hold what they are for alone: other lists cost nothing more.
CREATE TABLE experiments (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    definition TEXT NOT NULL,
    started BIGINT NOT NULL,
    ended BIGINT NOT NULL,
    results TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
);
CREATE UNIQUE INDEX experiments_running ON experiments (tenant) WHERE ended = 0;
ALTER TABLE recommendations ADD COLUMN experiment TEXT NOT NULL DEFAULT '';
ALTER TABLE recommendations ADD COLUMN arm TEXT NOT NULL DEFAULT '';
ALTER TABLE recommendations ADD COLUMN chances TEXT NOT NULL DEFAULT '';
CREATE INDEX recommendations_of_experiment ON recommendations (tenant, experiment, user_id, time) WHERE experiment <> '';
CREATE INDEX recommendations_drawn ON recommendations (tenant, time) WHERE chances <> ''
