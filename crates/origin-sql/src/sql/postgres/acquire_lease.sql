INSERT INTO hotshelf.cache_lease AS l (name, token, until)
VALUES ($1, (random() * 9e18)::bigint, clock_timestamp() + $2::bigint * interval '1 millisecond')
ON CONFLICT (name) DO UPDATE SET token = EXCLUDED.token, until = EXCLUDED.until WHERE l.until <= clock_timestamp()
RETURNING token
