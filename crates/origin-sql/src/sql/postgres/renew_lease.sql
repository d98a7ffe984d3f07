UPDATE hotshelf.cache_lease SET until = clock_timestamp() + $3::bigint * interval '1 millisecond'
WHERE name = $1 AND token = $2 AND until > clock_timestamp()
RETURNING token
