WITH given AS (
    SELECT value->>'currency' AS currency, value->>'list_minor' AS list_minor, value->>'sale_minor' AS sale_minor,
        value->>'valid_from' AS valid_from, value->>'valid_to' AS valid_to, count(*) AS times
    FROM json_each(?2, '$.prices') GROUP BY 1, 2, 3, 4, 5
), held AS (
    SELECT currency, list_minor, sale_minor, valid_from, valid_to, count(*) AS times
    FROM price WHERE product_id = ?1 GROUP BY 1, 2, 3, 4, 5
)
SELECT NOT EXISTS (SELECT * FROM given EXCEPT SELECT * FROM held) AND NOT EXISTS (SELECT * FROM held EXCEPT SELECT * FROM given) AS same
