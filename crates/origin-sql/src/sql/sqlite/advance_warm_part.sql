-- A part that the nodes share and that is further already was written by another runner: what this one says of it is old. A node's own part has
-- one runner at a time, and another than before is a process that begins anew.
INSERT INTO warm_part AS p (job, node, cursor, filled, held, absent, failed, fetched, rate, yielding, trouble, runner, seen)
SELECT id, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, CAST(unixepoch('subsec') * 1000 AS INTEGER) FROM warm_job WHERE id = ?1
ON CONFLICT (job, node) DO UPDATE SET cursor = excluded.cursor, filled = excluded.filled, held = excluded.held, absent = excluded.absent,
    failed = excluded.failed, fetched = excluded.fetched, rate = excluded.rate, yielding = excluded.yielding, trouble = excluded.trouble,
    runner = excluded.runner, seen = excluded.seen
WHERE p.cursor <= excluded.cursor OR (p.node <> '' AND p.runner <> excluded.runner)
