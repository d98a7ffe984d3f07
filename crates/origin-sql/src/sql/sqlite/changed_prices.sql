WITH given AS (
    SELECT p.value->>'id' AS product_id, r.value->>'currency', r.value->>'list_minor', r.value->>'sale_minor', r.value->>'valid_from',
        r.value->>'valid_to'
    FROM json_each(?1) AS p, json_each(p.value, '$.prices') AS r
), held AS (
    SELECT product_id, currency, list_minor, sale_minor, valid_from, valid_to
    FROM price WHERE product_id IN (SELECT value->>'id' FROM json_each(?1))
)
SELECT product_id FROM (SELECT * FROM given EXCEPT SELECT * FROM held)
UNION
SELECT product_id FROM (SELECT * FROM held EXCEPT SELECT * FROM given)
