-- hotshelf's own schema for product details, and the triggers that record its changes. A shop that keeps its own tables does not need it.

CREATE TABLE product (
    id TEXT PRIMARY KEY NOT NULL CHECK (length(CAST(id AS BLOB)) BETWEEN 1 AND 128),
    title TEXT NOT NULL,
    brand TEXT,
    -- JSON arrays; attributes is one of pairs: [["Colour","red"],["Size","M"]].
    category_path TEXT NOT NULL DEFAULT '[]' CHECK (json_type(category_path) = 'array'),
    description TEXT,
    attributes TEXT NOT NULL DEFAULT '[]' CHECK (json_type(attributes) = 'array'),
    images TEXT NOT NULL DEFAULT '[]' CHECK (json_type(images) = 'array'),
    status TEXT NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'hidden'))
) STRICT;

-- A price with the time in which it holds, in milliseconds since 1970; no beginning is since ever, no end is for ever. Where several hold, the one
-- that began last does.
CREATE TABLE price (
    id INTEGER PRIMARY KEY,
    product_id TEXT NOT NULL REFERENCES product ON DELETE CASCADE ON UPDATE CASCADE,
    currency TEXT NOT NULL CHECK (currency GLOB '[A-Z][A-Z][A-Z]'),
    list_minor INTEGER NOT NULL CHECK (list_minor >= 0),
    sale_minor INTEGER CHECK (sale_minor >= 0),
    valid_from INTEGER,
    valid_to INTEGER,
    CHECK (valid_from < valid_to)
) STRICT;
CREATE INDEX price_product ON price (product_id);

-- Pieces on hand. The document carries only the availability class, so only a change of the class is recorded.
CREATE TABLE stock (
    product_id TEXT PRIMARY KEY NOT NULL REFERENCES product ON DELETE CASCADE ON UPDATE CASCADE,
    quantity INTEGER NOT NULL DEFAULT 0,
    low_at INTEGER NOT NULL DEFAULT 5,
    availability TEXT NOT NULL GENERATED ALWAYS AS (
        CASE WHEN quantity <= 0 THEN 'out_of_stock' WHEN quantity <= low_at THEN 'low_stock' ELSE 'in_stock' END
    ) STORED
) STRICT;

CREATE TRIGGER product_insert AFTER INSERT ON product BEGIN
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, NEW.id, 0);
END;
CREATE TRIGGER product_update AFTER UPDATE ON product
WHEN (NEW.id, NEW.title, NEW.brand, NEW.category_path, NEW.description, NEW.attributes, NEW.images, NEW.status)
    IS NOT (OLD.id, OLD.title, OLD.brand, OLD.category_path, OLD.description, OLD.attributes, OLD.images, OLD.status)
BEGIN
    INSERT INTO cache_touch (ns, key, deleted) SELECT 1, OLD.id, 1 WHERE OLD.id <> NEW.id;
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, NEW.id, 0);
END;
CREATE TRIGGER product_delete AFTER DELETE ON product BEGIN
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, OLD.id, 1);
END;

-- REPLACE deletes the row in its way without firing delete triggers, so the triggers before an insert touch that row's product.
CREATE TRIGGER price_replace BEFORE INSERT ON price WHEN EXISTS (SELECT 1 FROM price WHERE id = NEW.id) BEGIN
    INSERT INTO cache_touch (ns, key, deleted) SELECT 1, product_id, 0 FROM price WHERE id = NEW.id;
END;
CREATE TRIGGER price_insert AFTER INSERT ON price BEGIN
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, NEW.product_id, 0);
END;
CREATE TRIGGER price_update AFTER UPDATE ON price
WHEN (NEW.product_id, NEW.currency, NEW.list_minor, NEW.sale_minor, NEW.valid_from, NEW.valid_to)
    IS NOT (OLD.product_id, OLD.currency, OLD.list_minor, OLD.sale_minor, OLD.valid_from, OLD.valid_to)
BEGIN
    INSERT INTO cache_touch (ns, key, deleted)
        SELECT 1, OLD.product_id, NOT EXISTS (SELECT 1 FROM product WHERE id = OLD.product_id) WHERE OLD.product_id <> NEW.product_id;
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, NEW.product_id, 0);
END;
CREATE TRIGGER price_delete AFTER DELETE ON price BEGIN
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, OLD.product_id, NOT EXISTS (SELECT 1 FROM product WHERE id = OLD.product_id));
END;

-- A product without a row here is out of stock, so a row of that class is no change when it goes. One that comes may be replacing another.
CREATE TRIGGER stock_insert AFTER INSERT ON stock BEGIN
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, NEW.product_id, 0);
END;
CREATE TRIGGER stock_update AFTER UPDATE ON stock
WHEN NEW.product_id <> OLD.product_id OR NEW.availability <> OLD.availability
BEGIN
    INSERT INTO cache_touch (ns, key, deleted)
        SELECT 1, OLD.product_id, NOT EXISTS (SELECT 1 FROM product WHERE id = OLD.product_id) WHERE OLD.product_id <> NEW.product_id;
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, NEW.product_id, 0);
END;
CREATE TRIGGER stock_delete AFTER DELETE ON stock WHEN OLD.availability <> 'out_of_stock' BEGIN
    INSERT INTO cache_touch (ns, key, deleted) VALUES (1, OLD.product_id, NOT EXISTS (SELECT 1 FROM product WHERE id = OLD.product_id));
END;
