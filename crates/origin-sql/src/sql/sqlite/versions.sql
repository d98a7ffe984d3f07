WITH hotshelf_state AS MATERIALIZED (
{state})
SELECT s.uuid, s.pos, s.now_ms, coalesce(n.ver, 0) AS parent_ver, k.key AS ord, coalesce(v.ver, 0) AS ver
FROM hotshelf_state AS s
LEFT JOIN cache_parent AS n ON n.name = ?2
LEFT JOIN json_each(?1) AS k
LEFT JOIN cache_version AS v ON v.ns = n.id AND v.key = k.value
