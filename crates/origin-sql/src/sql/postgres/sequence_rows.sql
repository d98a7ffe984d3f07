SELECT (SELECT uuid::text FROM hotshelf.cache_hist WHERE one) AS uuid, hotshelf.system_identifier() AS system, l.tl::bigint AS tl, l.pos, l.nonce, l.ns,
    l.key, l.ver, l.op, (SELECT array_agg(id ORDER BY id) FROM hotshelf.cache_parent) AS ids, (SELECT array_agg(name ORDER BY id) FROM hotshelf.cache_parent) AS names
FROM hotshelf.sequence($1, $2) AS l
