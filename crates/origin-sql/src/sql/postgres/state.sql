    SELECT h.uuid::text AS uuid, hotshelf.system_identifier() AS system, l.tl::bigint AS tl, l.pos AS pos,
        (extract(epoch FROM statement_timestamp()) * 1000000)::bigint AS now_us, NOT pg_is_in_recovery() AS is_primary
    -- A table of one row is taken for one of thousands until it is analyzed, which one row never causes. Without the limits the whole would seem
    -- so dear that PostgreSQL compiled it, at a second for each execution.
    FROM (SELECT uuid FROM hotshelf.cache_hist LIMIT 1) AS h
    CROSS JOIN (SELECT pos, tl FROM hotshelf.cache_log ORDER BY pos DESC LIMIT 1) AS l
    WHERE h.one
