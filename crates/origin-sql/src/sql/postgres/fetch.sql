WITH hotshelf_query AS (
{query}
), hotshelf_row AS MATERIALIZED (
    -- A query without a column `valid_until` finds the one of `hotshelf_never`, which is further out.
    SELECT q.id::text COLLATE "C" AS id, hotshelf.document_bytes(q.document) AS document,
        hotshelf.epoch_ms((SELECT valid_until FROM (SELECT q.*) AS hotshelf_own)) AS valid_until
    FROM (SELECT NULL::bigint AS valid_until) AS hotshelf_never, hotshelf_query AS q
)
SELECT s.uuid, s.system, s.tl, s.pos, s.now_us, s.is_primary, coalesce(n.ver, 0) AS parent_ver,
    k.ord, v.ver, octet_length(r.document)::bigint AS bytes,
    CASE WHEN octet_length(r.document) <= $4::bigint THEN r.document END AS document, r.valid_until
FROM (
{state}) AS s
LEFT JOIN hotshelf.cache_parent AS n ON n.name = $3
LEFT JOIN unnest($1::text[]) WITH ORDINALITY AS k (id, ord) ON true
LEFT JOIN hotshelf.cache_version AS v ON v.ns = n.id AND v.key = k.id
LEFT JOIN hotshelf_row AS r ON r.id = k.id
