-- A part that the nodes share and that is further already was written by another runner: what this one says of it is old. A node's own part has
-- one runner at a time, and another than before is a process that begins anew.
WITH job AS (
    SELECT id, state FROM hotshelf.warm_job WHERE id = $1
), written AS (
    INSERT INTO hotshelf.warm_part AS p
        (job, node, cursor, filled, held, absent, failed, fetched, rate, yielding, trouble, runner, seen)
    SELECT id, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, clock_timestamp() FROM job
    ON CONFLICT (job, node) DO UPDATE SET cursor = EXCLUDED.cursor, filled = EXCLUDED.filled, held = EXCLUDED.held,
        absent = EXCLUDED.absent, failed = EXCLUDED.failed, fetched = EXCLUDED.fetched, rate = EXCLUDED.rate,
        yielding = EXCLUDED.yielding, trouble = EXCLUDED.trouble, runner = EXCLUDED.runner, seen = EXCLUDED.seen
    WHERE p.cursor <= EXCLUDED.cursor OR (p.node <> '' AND p.runner <> EXCLUDED.runner)
)
SELECT state FROM job
