SELECT p.id AS id, json_object(
    'id', p.id, 'title', p.title, 'brand', p.brand, 'category_path', json(p.category_path), 'description', p.description,
    'attributes', json(p.attributes), 'images', json(p.images), 'price', json((
        SELECT json_object('currency', r.currency, 'list_minor', r.list_minor, 'sale_minor', r.sale_minor)
        FROM price AS r
        WHERE r.product_id = p.id AND (:currency IS NULL OR r.currency = :currency)
            AND coalesce(r.valid_from <= :as_of, true) AND coalesce(r.valid_to > :as_of, true)
        ORDER BY r.currency, r.valid_from DESC NULLS LAST, r.id DESC
        LIMIT 1
    )), 'availability', coalesce((SELECT s.availability FROM stock AS s WHERE s.product_id = p.id), 'out_of_stock')
) AS document, (
    SELECT nullif(min(
        min(CASE WHEN r.valid_from > :as_of THEN r.valid_from ELSE 9223372036854775807 END),
        min(CASE WHEN r.valid_to > :as_of THEN r.valid_to ELSE 9223372036854775807 END)
    ), 9223372036854775807)
    FROM price AS r WHERE r.product_id = p.id AND (:currency IS NULL OR r.currency = :currency)
) AS valid_until
FROM product AS p
WHERE p.id IN (SELECT value FROM json_each(:ids)) AND p.status = 'active'
