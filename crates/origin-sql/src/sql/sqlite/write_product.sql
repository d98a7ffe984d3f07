UPDATE product SET (title, brand, category_path, description, attributes, images, status)
    = (n.title, n.brand, n.category_path, n.description, n.attributes, n.images, n.status)
FROM (
    SELECT id,
        iif(json_type(?2, '$.title') IS NULL, title, ?2->>'title') AS title,
        iif(json_type(?2, '$.brand') IS NULL, brand, ?2->>'brand') AS brand,
        iif(json_type(?2, '$.category_path') IS NULL, category_path, ?2->'category_path') AS category_path,
        iif(json_type(?2, '$.description') IS NULL, description, ?2->>'description') AS description,
        iif(json_type(?2, '$.attributes') IS NULL, attributes, ?2->'attributes') AS attributes,
        iif(json_type(?2, '$.images') IS NULL, images, ?2->'images') AS images,
        iif(json_type(?2, '$.status') IS NULL, status, ?2->>'status') AS status
    FROM product WHERE id = ?1
) AS n
WHERE product.id = n.id AND (product.title, product.brand, product.category_path, product.description, product.attributes, product.images, product.status)
    IS NOT (n.title, n.brand, n.category_path, n.description, n.attributes, n.images, n.status)
