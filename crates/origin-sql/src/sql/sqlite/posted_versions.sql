SELECT coalesce(v.ver, 0)
FROM json_each(?1) AS j
JOIN cache_parent AS p ON p.name = j.value->>0
LEFT JOIN cache_version AS v ON v.ns = p.id AND v.key = j.value->>1
ORDER BY j.key
