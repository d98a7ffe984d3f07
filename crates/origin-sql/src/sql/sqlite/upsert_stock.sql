INSERT INTO stock (product_id, quantity)
SELECT g.value->>'id', g.value->>'stock' FROM json_each(?1) AS g WHERE true
ON CONFLICT (product_id) DO UPDATE SET quantity = excluded.quantity WHERE quantity <> excluded.quantity
RETURNING product_id
