WITH hotshelf_state AS MATERIALIZED (
{state})
-- A log without rows stands at position 0, whose nonce is 0, and which the first row follows.
SELECT s.uuid, s.pos, s.now_ms, 0 AS parent_ver, (SELECT value FROM version_seq) AS version,
    coalesce((SELECT nonce FROM cache_log WHERE pos = s.pos), 0) AS head_nonce,
    CASE WHEN ?1 = 0 AND coalesce(o.pos, 1) = 1 THEN 0 ELSE (SELECT nonce FROM cache_log WHERE pos = ?1) END AS known_nonce,
    coalesce(o.pos, 0) AS oldest, s.now_ms - coalesce(o.logged_at * 1000, s.now_ms) AS oldest_age_ms
FROM hotshelf_state AS s
LEFT JOIN cache_log AS o ON o.pos = (SELECT min(pos) FROM cache_log)
