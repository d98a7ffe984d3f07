UPDATE cache_lease SET until = CAST(round(unixepoch('subsec') * 1000) AS INTEGER) + ?3
WHERE name = ?1 AND token = ?2 AND until > CAST(round(unixepoch('subsec') * 1000) AS INTEGER)
RETURNING token
