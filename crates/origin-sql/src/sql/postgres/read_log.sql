SELECT h.uuid::text AS uuid, hotshelf.system_identifier() AS system, l.tl::bigint AS tl, l.pos, l.nonce, l.ns, l.key, l.ver, l.op,
    -- The names come with the first row only.
    CASE WHEN l.pos = $1::bigint + 1 THEN n.ids END AS ids, CASE WHEN l.pos = $1::bigint + 1 THEN n.names END AS names
FROM hotshelf.cache_hist AS h
CROSS JOIN (SELECT array_agg(id) AS ids, array_agg(name) AS names FROM hotshelf.cache_parent) AS n
CROSS JOIN (
    SELECT w.*, sum(cardinality(w.ns)) OVER (ORDER BY w.pos ROWS UNBOUNDED PRECEDING) - cardinality(w.ns) AS records_before
    FROM (
        -- Entries of pruned rows are still in the index; they are not passed one by one.
        SELECT * FROM hotshelf.cache_log WHERE pos > greatest($1::bigint, (SELECT pos - 1 FROM hotshelf.cache_log_oldest WHERE one)) ORDER BY pos LIMIT $2::bigint
    ) AS w
) AS l
WHERE h.one AND l.records_before < $3::bigint
ORDER BY l.pos
