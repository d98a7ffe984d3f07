-- Its own row is not pruned, because what two parts of one statement do to one row is anybody's guess.
WITH pruned AS (
    DELETE FROM hotshelf.cache_node WHERE seen < clock_timestamp() - interval '1 day' AND (name, admin) <> ($1, $2)
)
INSERT INTO hotshelf.cache_node (name, admin, number, version, started, seen)
VALUES ($1, $2, $3, $4, clock_timestamp() - $5::bigint * interval '1 millisecond', clock_timestamp())
ON CONFLICT (name, admin) DO UPDATE
SET number = EXCLUDED.number, version = EXCLUDED.version, started = EXCLUDED.started, seen = EXCLUDED.seen
