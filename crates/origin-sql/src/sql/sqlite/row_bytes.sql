SELECT octet_length(json_object(
    'id', id, 'title', title, 'brand', brand, 'category_path', json(category_path), 'description', description,
    'attributes', json(attributes), 'images', json(images), 'status', status
)) AS bytes
FROM product WHERE id = ?1
