    SELECT h.uuid AS uuid, (SELECT coalesce(max(pos), 0) FROM cache_log) AS pos,
        CAST(round(unixepoch('subsec') * 1000) AS INTEGER) AS now_ms
    FROM cache_hist AS h
