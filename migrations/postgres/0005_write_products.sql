-- Writes through hotshelf, one statement and one round trip each.
--
-- Every write locks in the order of any other program's: rows of the product and its children first, then the key's version, which other programs
-- lock when they seal at commit. The other way round, the two would deadlock. What a statement here reads is the state after the locks before it,
-- because each statement of a volatile function sees the commits before it.

-- Writes the given fields of a product. With must_exist one that is not there is left so; otherwise it is created, and then fields must be whole.
-- if_version: the version that the key must have, 0 for a product that must not exist, null for none. outcome: created, updated, unchanged, mismatch,
-- absent or too_large; version is the key's after this transaction, or the present one when nothing was written.
CREATE FUNCTION hotshelf.write_product(sku text, fields jsonb, must_exist boolean, if_version bigint, bytes_max bigint,
    OUT outcome text, OUT version bigint)
    LANGUAGE plpgsql SET search_path = hotshelf, pg_temp AS $$
DECLARE
    held product;
    wanted product;
    is_there boolean;
    before bigint;
    created boolean := false;
BEGIN
    -- Also for stock that changes within its class, which nothing seals.
    PERFORM commit_synchronously();
    LOOP
        SELECT * INTO held FROM product WHERE id = sku FOR UPDATE;
        is_there := FOUND;
        IF is_there THEN
            PERFORM FROM price WHERE product_id = sku ORDER BY id FOR UPDATE;
            PERFORM FROM stock WHERE product_id = sku FOR UPDATE;
            SELECT ver INTO before FROM cache_version WHERE ns = 1 AND key = sku FOR UPDATE;
        ELSE
            SELECT ver INTO before FROM cache_version WHERE ns = 1 AND key = sku;
        END IF;
        version := coalesce(before, 0);
        IF must_exist AND NOT is_there THEN
            outcome := 'absent';
            RETURN;
        ELSIF if_version <> version AND (is_there OR if_version <> 0) OR is_there AND if_version = 0 THEN
            outcome := 'mismatch';
            RETURN;
        END IF;
        held.id := sku;
        wanted := jsonb_populate_record(held, fields);
        IF octet_length(row_to_json(wanted)::text) > bytes_max THEN
            outcome := 'too_large';
            RETURN;
        END IF;
        EXIT WHEN is_there;
        INSERT INTO product SELECT wanted.* ON CONFLICT (id) DO NOTHING;
        created := FOUND;
        EXIT WHEN created;
        -- Somebody else has just created it: it is there now, and the conditions are asked again.
    END LOOP;
    IF created THEN
        SELECT ver INTO before FROM cache_version WHERE ns = 1 AND key = sku FOR UPDATE;
        IF if_version <> 0 AND if_version <> before THEN
            RAISE EXCEPTION 'product % was created and deleted meanwhile', sku USING ERRCODE = 'serialization_failure';
        END IF;
    ELSIF wanted IS DISTINCT FROM held THEN
        UPDATE product AS p SET title = wanted.title, brand = wanted.brand, category_path = wanted.category_path,
            description = wanted.description, attributes = wanted.attributes, images = wanted.images, status = wanted.status
        WHERE p.id = sku;
    END IF;
    IF fields ? 'prices' THEN
        PERFORM write_prices(sku, fields->'prices');
    END IF;
    IF fields ?| '{quantity,low_at}' THEN
        INSERT INTO stock AS s (product_id, quantity, low_at)
        VALUES (sku, coalesce((fields->>'quantity')::bigint, 0), coalesce((fields->>'low_at')::bigint, 5))
        ON CONFLICT (product_id) DO UPDATE
            SET quantity = coalesce((fields->>'quantity')::bigint, s.quantity), low_at = coalesce((fields->>'low_at')::bigint, s.low_at)
            WHERE (s.quantity, s.low_at) IS DISTINCT FROM
                (coalesce((fields->>'quantity')::bigint, s.quantity), coalesce((fields->>'low_at')::bigint, s.low_at));
    END IF;
    version := coalesce(seal_now(sku), 0);
    outcome := CASE WHEN created THEN 'created' WHEN version IS DISTINCT FROM coalesce(before, 0) THEN 'updated' ELSE 'unchanged' END;
END $$;

-- Replaces a product's prices when they differ.
CREATE FUNCTION hotshelf.write_prices(sku text, prices jsonb) RETURNS void LANGUAGE plpgsql SET search_path = hotshelf, pg_temp AS $$
BEGIN
    IF NOT EXISTS (
        WITH given AS (
            SELECT currency, list_minor, sale_minor,
                to_timestamp(valid_from / 1000.0)::timestamptz(3) AS valid_from, to_timestamp(valid_to / 1000.0)::timestamptz(3) AS valid_to
            FROM jsonb_to_recordset(prices) AS r (currency text, list_minor bigint, sale_minor bigint, valid_from bigint, valid_to bigint)
        ), held AS (
            SELECT currency, list_minor, sale_minor, valid_from, valid_to FROM price WHERE product_id = sku
        )
        (TABLE given EXCEPT ALL TABLE held) UNION ALL (TABLE held EXCEPT ALL TABLE given)
    ) THEN
        RETURN;
    END IF;
    DELETE FROM price WHERE product_id = sku;
    INSERT INTO price (product_id, currency, list_minor, sale_minor, valid_from, valid_to)
    SELECT sku, currency, list_minor, sale_minor, to_timestamp(valid_from / 1000.0), to_timestamp(valid_to / 1000.0)
    FROM jsonb_to_recordset(prices) AS r (currency text, list_minor bigint, sale_minor bigint, valid_from bigint, valid_to bigint);
END $$;

-- Deletes a product. outcome: deleted, mismatch or absent.
CREATE FUNCTION hotshelf.delete_product(sku text, if_version bigint, OUT outcome text, OUT version bigint)
    LANGUAGE plpgsql SET search_path = hotshelf, pg_temp AS $$
BEGIN
    PERFORM commit_synchronously();
    PERFORM FROM product WHERE id = sku FOR UPDATE;
    IF NOT FOUND THEN
        version := coalesce((SELECT ver FROM cache_version WHERE ns = 1 AND key = sku), 0);
        outcome := 'absent';
        RETURN;
    END IF;
    PERFORM FROM price WHERE product_id = sku ORDER BY id FOR UPDATE;
    PERFORM FROM stock WHERE product_id = sku FOR UPDATE;
    SELECT ver INTO version FROM cache_version WHERE ns = 1 AND key = sku FOR UPDATE;
    version := coalesce(version, 0);
    IF if_version = 0 OR if_version <> version THEN
        outcome := 'mismatch';
        RETURN;
    END IF;
    DELETE FROM product WHERE id = sku;
    version := seal_now(sku);
    outcome := 'deleted';
END $$;

-- Seals what this transaction has touched so far, instead of at its end, and reads the version that the key has then. This transaction holds the
-- key's row from there on, so it is the version after commit. All constraints, because the one event that seals belongs to whichever trigger noted
-- the first key, which may be an attachment's or on another table, and because a shop's deferred triggers may touch more keys.
CREATE FUNCTION hotshelf.seal_now(sku text) RETURNS bigint LANGUAGE plpgsql SET search_path = hotshelf, pg_temp AS $$
BEGIN
    SET CONSTRAINTS ALL IMMEDIATE;
    SET CONSTRAINTS ALL DEFERRED;
    RETURN (SELECT ver FROM cache_version WHERE ns = 1 AND key = sku);
END $$;

REVOKE EXECUTE ON FUNCTION hotshelf.write_product(text, jsonb, boolean, bigint, bigint), hotshelf.write_prices(text, jsonb),
    hotshelf.delete_product(text, bigint), hotshelf.seal_now(text) FROM PUBLIC;
