WITH given AS (
    SELECT p.id AS product_id, r.currency, r.list_minor, r.sale_minor,
        to_timestamp(r.valid_from / 1000.0)::timestamptz(3) AS valid_from, to_timestamp(r.valid_to / 1000.0)::timestamptz(3) AS valid_to
    FROM json_to_recordset($1::json) AS p (id text, prices json)
    CROSS JOIN LATERAL json_to_recordset(p.prices) AS r (currency text, list_minor bigint, sale_minor bigint, valid_from bigint, valid_to bigint)
), held AS (
    SELECT product_id, currency, list_minor, sale_minor, valid_from, valid_to
    FROM hotshelf.price WHERE product_id IN (SELECT id FROM json_to_recordset($1::json) AS p (id text))
)
SELECT DISTINCT product_id
FROM ((TABLE given EXCEPT ALL TABLE held) UNION ALL (TABLE held EXCEPT ALL TABLE given)) AS d
