INSERT INTO product (id, title, brand, category_path, description, attributes, images, status)
SELECT g.value->>'id', g.value->>'title', g.value->>'brand', g.value->'category_path', g.value->>'description', g.value->'attributes',
    g.value->'images', g.value->>'status'
FROM json_each(?1) AS g WHERE true
ON CONFLICT (id) DO UPDATE SET title = excluded.title, brand = excluded.brand, category_path = excluded.category_path,
    description = excluded.description, attributes = excluded.attributes, images = excluded.images, status = excluded.status
WHERE (title, brand, category_path, description, attributes, images, status)
    IS NOT (excluded.title, excluded.brand, excluded.category_path, excluded.description, excluded.attributes, excluded.images, excluded.status)
RETURNING id
