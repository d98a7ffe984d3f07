SELECT s.uuid, s.system, s.tl, s.pos, s.now_us, s.is_primary, coalesce(n.ver, 0) AS parent_ver,
    ARRAY(
        SELECT coalesce(v.ver, 0) FROM unnest($1::text[]) WITH ORDINALITY AS k (id, ord)
        LEFT JOIN hotshelf.cache_version AS v ON v.ns = n.id AND v.key = k.id
        ORDER BY k.ord
    ) AS versions
FROM (
{state}) AS s
LEFT JOIN hotshelf.cache_parent AS n ON n.name = $2
