INSERT INTO hotshelf.product AS p (id, title, brand, category_path, description, attributes, images, status)
SELECT g.id, g.title, g.brand, g.category_path, g.description, g.attributes, g.images, g.status
FROM json_to_recordset($1::json) AS g (
    id text, title text, brand text, category_path text[], description text, attributes text[], images text[], status text
)
ORDER BY g.id COLLATE "C"
ON CONFLICT (id) DO UPDATE SET title = EXCLUDED.title, brand = EXCLUDED.brand, category_path = EXCLUDED.category_path,
    description = EXCLUDED.description, attributes = EXCLUDED.attributes, images = EXCLUDED.images, status = EXCLUDED.status
WHERE (p.title, p.brand, p.category_path, p.description, p.attributes, p.images, p.status)
    IS DISTINCT FROM (EXCLUDED.title, EXCLUDED.brand, EXCLUDED.category_path, EXCLUDED.description, EXCLUDED.attributes, EXCLUDED.images, EXCLUDED.status)
RETURNING p.id, p.xmax = 0 AS inserted
