WITH hotshelf_state AS MATERIALIZED (
{state}), hotshelf_clock AS MATERIALIZED (
    SELECT max(now_ms, coalesce(?2, 0)) AS as_of FROM hotshelf_state
), hotshelf_query AS (
{query}
), hotshelf_row AS MATERIALIZED (
    -- A query without a column `valid_until` gets the one of the right side; one that has it keeps its own, as NULL joins with nothing.
    SELECT CAST(q.id AS TEXT) AS id, q.document AS document, valid_until
    FROM hotshelf_query AS q NATURAL LEFT JOIN (SELECT NULL AS valid_until)
)
SELECT s.uuid, s.pos, s.now_ms, coalesce(n.ver, 0) AS parent_ver,
    k.key AS ord, v.ver AS ver, octet_length(r.document) AS bytes,
    CASE WHEN octet_length(r.document) <= ?4 THEN r.document END AS document, r.valid_until AS valid_until
FROM hotshelf_state AS s
LEFT JOIN cache_parent AS n ON n.name = ?3
LEFT JOIN json_each(?1) AS k
LEFT JOIN cache_version AS v ON v.ns = n.id AND v.key = k.value
LEFT JOIN hotshelf_row AS r ON r.id = k.value
