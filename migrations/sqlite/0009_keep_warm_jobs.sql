-- Warm-ups, as jobs. Who runs one writes here how far it is, so that it goes on from there after a restart. Lists are JSON arrays, times are
-- milliseconds since 1970.
CREATE TABLE warm_job (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    namespace TEXT NOT NULL,
    variants TEXT NOT NULL,
    tiers TEXT NOT NULL,
    nodes TEXT NOT NULL,
    ids INTEGER NOT NULL,
    source TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'cancelled', 'done')),
    who TEXT NOT NULL,
    created INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    changed INTEGER NOT NULL DEFAULT (CAST(unixepoch('subsec') * 1000 AS INTEGER)),
    changed_by TEXT NOT NULL
) STRICT;

-- A job's ids in their order, a thousand in a row; `start` is the place of the first.
CREATE TABLE warm_ids (
    job INTEGER NOT NULL REFERENCES warm_job ON DELETE CASCADE,
    start INTEGER NOT NULL,
    ids TEXT NOT NULL,
    PRIMARY KEY (job, start)
) STRICT, WITHOUT ROWID;

-- How far a job is: what the nodes share under the empty name, and what each does for itself.
CREATE TABLE warm_part (
    job INTEGER NOT NULL REFERENCES warm_job ON DELETE CASCADE,
    node TEXT NOT NULL,
    cursor INTEGER NOT NULL,
    filled INTEGER NOT NULL,
    held INTEGER NOT NULL,
    absent INTEGER NOT NULL,
    failed INTEGER NOT NULL,
    fetched INTEGER NOT NULL,
    rate REAL NOT NULL,
    yielding INTEGER NOT NULL,
    trouble TEXT NOT NULL,
    runner TEXT NOT NULL,
    seen INTEGER NOT NULL,
    PRIMARY KEY (job, node)
) STRICT, WITHOUT ROWID;
