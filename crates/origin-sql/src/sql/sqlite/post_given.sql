INSERT INTO cache_given (ns, key, ver)
SELECT p.id, j.value->>1, max(j.value->>2)
FROM json_each(?1) AS j
JOIN cache_parent AS p ON p.name = j.value->>0
WHERE j.value->>2 IS NOT NULL
GROUP BY p.id, j.value->>1
