INSERT INTO cache_lease (name, token, until) VALUES (?1, random(), CAST(round(unixepoch('subsec') * 1000) AS INTEGER) + ?2)
ON CONFLICT (name) DO UPDATE SET token = excluded.token, until = excluded.until WHERE until <= excluded.until - ?2
RETURNING token
