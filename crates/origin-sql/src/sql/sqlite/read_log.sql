SELECT h.uuid, l.pos, l.nonce, l.ns, n.name, l.key, l.ver, l.op
FROM cache_hist AS h
CROSS JOIN (SELECT * FROM cache_log WHERE pos > ?1 ORDER BY pos LIMIT ?2) AS l
LEFT JOIN cache_parent AS n ON n.id = l.ns
ORDER BY l.pos
