INSERT INTO hotshelf.stock AS s (product_id, quantity)
SELECT g.id, g.stock FROM json_to_recordset($1::json) AS g (id text, stock bigint)
ORDER BY g.id COLLATE "C"
ON CONFLICT (product_id) DO UPDATE SET quantity = EXCLUDED.quantity
WHERE s.quantity IS DISTINCT FROM EXCLUDED.quantity
RETURNING s.product_id
