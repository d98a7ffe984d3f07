SELECT s.uuid, s.system, s.tl, s.pos, s.now_us, s.is_primary, 0::bigint AS parent_ver,
    CASE WHEN s.is_primary THEN hotshelf.server_timeline() END AS server_tl,
    (SELECT nonce FROM hotshelf.cache_log WHERE pos = s.pos) AS head_nonce,
    ARRAY(
        SELECT (SELECT nonce FROM hotshelf.cache_log WHERE pos = known.pos)
        FROM unnest($2::bigint[]) WITH ORDINALITY AS known (pos, number) ORDER BY number) AS known_nonces,
    o.pos AS oldest,
    (SELECT s.now_us - (extract(epoch FROM logged_at) * 1000000)::bigint FROM hotshelf.cache_log WHERE pos = o.pos) AS oldest_age_us,
    (SELECT last_value FROM hotshelf.version_seq) AS version,
    (SELECT last_value FROM hotshelf.cache_outbox_id_seq) AS id_given,
    (SELECT max(id) FROM hotshelf.cache_outbox) AS newest,
    EXISTS (SELECT 1 FROM hotshelf.cache_outbox WHERE id <= $1::bigint) AS remaining
FROM (
{state}) AS s
JOIN hotshelf.cache_log_oldest AS o ON o.one
