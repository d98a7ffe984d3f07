INSERT INTO price (product_id, currency, list_minor, sale_minor, valid_from, valid_to)
SELECT ?1, value->>'currency', value->>'list_minor', value->>'sale_minor', value->>'valid_from', value->>'valid_to'
FROM json_each(?2, '$.prices')
