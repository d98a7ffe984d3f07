SET LOCAL statement_timeout = '500ms';
SELECT hotshelf.commit_synchronously();
WITH head AS MATERIALIZED (
    SELECT pos, tl, tl = hotshelf.server_timeline() AS current FROM hotshelf.cache_log ORDER BY pos DESC LIMIT 1
), batch AS (
    DELETE FROM hotshelf.cache_outbox
    WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM hotshelf.cache_outbox
        WHERE (SELECT current FROM head)
        ORDER BY id LIMIT {limit} FOR UPDATE SKIP LOCKED
    ))
    RETURNING id, ns, key, ver, op
), numbered AS (
    SELECT id, ns, key, ver, op, (row_number() OVER (ORDER BY id) - 1) / 512 AS page FROM batch
)
INSERT INTO hotshelf.cache_log (pos, tl, nonce, ns, key, ver, op)
SELECT head.pos + 1 + page, head.tl, (random() * 9e18)::bigint,
    array_agg(ns ORDER BY id), array_agg(key ORDER BY id), array_agg(ver ORDER BY id), array_agg(op ORDER BY id)
FROM numbered CROSS JOIN head
GROUP BY page, head.pos, head.tl
RETURNING pos, cardinality(key) AS records
