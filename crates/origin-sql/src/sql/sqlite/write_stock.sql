INSERT INTO stock (product_id, quantity, low_at)
SELECT ?1, coalesce(?2->>'quantity', 0), coalesce(?2->>'low_at', 5)
-- Without a row a product is out of stock already, and one that says the same would be recorded as a change.
WHERE coalesce(?2->>'quantity', 0) > 0 OR coalesce(?2->>'low_at', 5) <> 5 OR EXISTS (SELECT 1 FROM stock WHERE product_id = ?1)
ON CONFLICT (product_id) DO UPDATE SET quantity = coalesce(?2->>'quantity', quantity), low_at = coalesce(?2->>'low_at', low_at)
WHERE (quantity, low_at) IS NOT (coalesce(?2->>'quantity', quantity), coalesce(?2->>'low_at', low_at))
