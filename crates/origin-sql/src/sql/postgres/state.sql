    SELECT h.uuid::text AS uuid, hotshelf.system_identifier() AS system, l.tl::bigint AS tl, l.pos AS pos,
        (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS now_us, NOT pg_is_in_recovery() AS is_primary
    FROM hotshelf.cache_hist AS h
    CROSS JOIN (SELECT pos, tl FROM hotshelf.cache_log ORDER BY pos DESC LIMIT 1) AS l
    WHERE h.one
