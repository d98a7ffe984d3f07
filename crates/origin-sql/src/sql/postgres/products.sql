SELECT p.id, row_to_json(d) AS document, (
    SELECT min(b.moment)
    FROM hotshelf.price AS r CROSS JOIN LATERAL (VALUES (r.valid_from), (r.valid_to)) AS b (moment)
    WHERE r.product_id = p.id AND (:currency::text IS NULL OR r.currency = :currency::text) AND b.moment > :as_of
) AS valid_until
FROM hotshelf.product AS p
CROSS JOIN LATERAL (
    SELECT p.id, p.title, p.brand, p.category_path, p.description, p.attributes, p.images, (
        SELECT row_to_json(c)
        FROM (
            SELECT r.currency, r.list_minor, r.sale_minor
            FROM hotshelf.price AS r
            WHERE r.product_id = p.id AND (:currency::text IS NULL OR r.currency = :currency::text)
                AND coalesce(r.valid_from <= :as_of, true) AND coalesce(r.valid_to > :as_of, true)
            ORDER BY r.currency, r.valid_from DESC NULLS LAST, r.id DESC
            LIMIT 1
        ) AS c
    ) AS price, coalesce((SELECT s.availability FROM hotshelf.stock AS s WHERE s.product_id = p.id), 'out_of_stock') AS availability
) AS d
WHERE p.id = ANY (:ids) AND p.status = 'active'
