INSERT INTO price (product_id, currency, list_minor, sale_minor, valid_from, valid_to)
SELECT p.value->>'id', r.value->>'currency', r.value->>'list_minor', r.value->>'sale_minor', r.value->>'valid_from', r.value->>'valid_to'
FROM json_each(?1) AS p, json_each(p.value, '$.prices') AS r
WHERE p.value->>'id' IN (SELECT value FROM json_each(?2))
