DELETE FROM cache_log WHERE pos < (
    SELECT max(pos) + 1
    FROM (SELECT pos, logged_at FROM cache_log WHERE pos < (SELECT max(pos) FROM cache_log) ORDER BY pos LIMIT ?3)
    WHERE logged_at < unixepoch() - ?1 OR pos <= (SELECT max(pos) FROM cache_log) - ?2
)
