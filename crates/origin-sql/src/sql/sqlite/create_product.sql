INSERT INTO product (id, title, brand, category_path, description, attributes, images, status)
VALUES (?1, ?2->>'title', ?2->>'brand', ?2->'category_path', ?2->>'description', ?2->'attributes', ?2->'images', ?2->>'status')
