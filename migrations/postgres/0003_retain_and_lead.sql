-- How long the log reaches back, who leads, and sequencing as one call.

-- A row's time, so that the log can be pruned by age. Rows that are there already count from now on.
ALTER TABLE hotshelf.cache_log ADD COLUMN logged_at timestamptz NOT NULL DEFAULT now();
ALTER TABLE hotshelf.cache_log SET (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100000);

-- The oldest position that the log still holds: one row. Asking the index for its least entry would pass every entry that was pruned since the
-- beginning of the oldest snapshot.
CREATE TABLE hotshelf.cache_log_oldest (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    pos bigint NOT NULL
);
INSERT INTO hotshelf.cache_log_oldest (pos) SELECT min(pos) FROM hotshelf.cache_log;

-- Leases of nodes; there is one, of the node that sequences. A token names one holding and is never reused.
CREATE TABLE hotshelf.cache_lease (
    name text COLLATE "C" PRIMARY KEY,
    token bigint NOT NULL,
    until timestamptz NOT NULL
) WITH (fillfactor = 50);

-- Gives positions to outbox rows with ids above `low`, at most `records_max` of them, and returns the rows of the log that it wrote. Next to nothing
-- when there are none. Of two callers at once the later fails on the position that the other took. Sequential scans are off because the plan
-- is kept, and one made while the outbox is empty would read its dead rows later.
CREATE FUNCTION hotshelf.sequence(low bigint, records_max integer) RETURNS SETOF hotshelf.cache_log LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM hotshelf.cache_outbox WHERE id > low) THEN
        RETURN;
    END IF;
    PERFORM hotshelf.commit_synchronously();
    RETURN QUERY WITH head AS MATERIALIZED (
        SELECT l.pos, l.tl, l.tl = hotshelf.server_timeline() AS current FROM hotshelf.cache_log AS l ORDER BY l.pos DESC LIMIT 1
    ), batch AS (
        DELETE FROM hotshelf.cache_outbox AS o
        WHERE o.ctid = ANY (ARRAY(
            SELECT w.ctid FROM hotshelf.cache_outbox AS w
            WHERE w.id > low AND (SELECT h.current FROM head AS h)
            ORDER BY w.id LIMIT records_max FOR UPDATE SKIP LOCKED
        ))
        RETURNING o.id, o.ns, o.key, o.ver, o.op
    ), numbered AS (
        SELECT b.*, (row_number() OVER (ORDER BY b.id) - 1) / 512 AS page FROM batch AS b
    )
    INSERT INTO hotshelf.cache_log (pos, tl, nonce, ns, key, ver, op)
    SELECT h.pos + 1 + n.page, h.tl, (random() * 9e18)::bigint,
        array_agg(n.ns ORDER BY n.id), array_agg(n.key ORDER BY n.id), array_agg(n.ver ORDER BY n.id), array_agg(n.op ORDER BY n.id)
    FROM numbered AS n CROSS JOIN head AS h
    GROUP BY n.page, h.pos, h.tl
    ORDER BY n.page
    RETURNING *;
END $$;

-- Removes rows of the log that are older than `kept`, or further than `rows_max` behind the head, which stays; looks at no more than `step` rows.
-- Returns how many it removed.
CREATE FUNCTION hotshelf.prune_log(kept interval, rows_max bigint, step integer) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    bottom bigint;
    head bigint;
    cut bigint;
BEGIN
    SELECT pos INTO bottom FROM hotshelf.cache_log_oldest WHERE one;
    SELECT pos INTO head FROM hotshelf.cache_log ORDER BY pos DESC LIMIT 1;
    SELECT max(l.pos) + 1 INTO cut
    FROM (SELECT pos, logged_at FROM hotshelf.cache_log WHERE pos >= bottom AND pos < head ORDER BY pos LIMIT step) AS l
    WHERE l.logged_at < now() - kept OR l.pos <= head - rows_max;
    -- Another node may have pruned the same rows meanwhile.
    UPDATE hotshelf.cache_log_oldest SET pos = cut WHERE one AND pos = bottom AND cut > bottom;
    IF NOT FOUND THEN
        RETURN 0;
    END IF;
    DELETE FROM hotshelf.cache_log WHERE pos >= bottom AND pos < cut;
    RETURN cut - bottom;
END $$;

REVOKE EXECUTE ON FUNCTION hotshelf.sequence(bigint, integer), hotshelf.prune_log(interval, bigint, integer) FROM PUBLIC;
