INSERT INTO cache_touch (ns, key, deleted)
SELECT DISTINCT p.id, j.value->>1, coalesce(v.deleted, 0)
FROM json_each(?1) AS j
JOIN cache_parent AS p ON p.name = j.value->>0
LEFT JOIN cache_version AS v ON v.ns = p.id AND v.key = j.value->>1
WHERE j.value->>2 IS NULL
