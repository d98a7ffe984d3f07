SET LOCAL statement_timeout = '500ms';
SELECT hotshelf.commit_synchronously();
INSERT INTO hotshelf.cache_log (pos, tl, nonce, ns, key, ver, op)
SELECT pos + 1, hotshelf.server_timeline()::integer, (random() * 9e18)::bigint, '{0}', '{""}', '{0}', '{4}'
FROM (SELECT pos, tl FROM hotshelf.cache_log ORDER BY pos DESC LIMIT 1) AS head
WHERE tl < hotshelf.server_timeline()
RETURNING pos, 0 AS records
