-- Cheaper recording. The triggers of 0002 wrote each touched key to one table and a marker to another, only to read and delete both at the commit. Now
-- a transaction notes its keys in a setting of its own, and goes to a table only with more of them than is reasonable to keep there.
--
-- A watched table has one deferred constraint trigger for each operation. Its WHEN is evaluated at once, row by row, and notes the key; it is true
-- only for the first key, so that one event waits for the commit whatever was written. A rollback to a savepoint takes noted keys and event back
-- together.

DROP TRIGGER hotshelf_insert ON hotshelf.product;
DROP TRIGGER hotshelf_update ON hotshelf.product;
DROP TRIGGER hotshelf_delete ON hotshelf.product;
DROP TRIGGER hotshelf_insert ON hotshelf.price;
DROP TRIGGER hotshelf_update ON hotshelf.price;
DROP TRIGGER hotshelf_delete ON hotshelf.price;
DROP TRIGGER hotshelf_insert ON hotshelf.stock;
DROP TRIGGER hotshelf_update ON hotshelf.stock;
DROP TRIGGER hotshelf_delete ON hotshelf.stock;
DROP FUNCTION hotshelf.touch_product(), hotshelf.touch_price(), hotshelf.touch_stock();
DROP TABLE hotshelf.cache_sealing, hotshelf.cache_touched;
DROP FUNCTION hotshelf.seal();

-- Room for a new version beside the old one, so that the index stays as it is.
ALTER TABLE hotshelf.cache_version SET (fillfactor = 90);

-- The base of the timelines is read by every seal. As a constant in a function it costs nothing there; the table remains what is changed. The function
-- is stable and not immutable, because a plan that is kept does not notice that an immutable one was replaced: its session would seal on the old base.
CREATE FUNCTION hotshelf.set_timeline_base() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE FUNCTION hotshelf.timeline_base() RETURNS bigint LANGUAGE sql STABLE AS ''SELECT %s::bigint''', NEW.timeline_base);
    RETURN NULL;
END $$;
CREATE TRIGGER set_timeline_base AFTER INSERT OR UPDATE ON hotshelf.cache_hist FOR EACH ROW EXECUTE FUNCTION hotshelf.set_timeline_base();
UPDATE hotshelf.cache_hist SET timeline_base = timeline_base;
CREATE OR REPLACE FUNCTION hotshelf.server_timeline() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT hotshelf.wal_timeline() + hotshelf.timeline_base()
$$;

-- The setting hotshelf.touched holds entries, each ended by U+001F: five digits of the namespace, one of the operation (1 upsert, 2 delete, 0 a child's
-- change, which leaves the word to the product's own), the key. When it gets long, it moves to a row of this table as it is, and a star stands
-- for it. Unlogged: no row outlives its transaction, and PREPARE TRANSACTION fires deferred triggers first, so a crash has nothing to lose here.
CREATE UNLOGGED TABLE hotshelf.cache_touched (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    id bigint GENERATED ALWAYS AS IDENTITY,
    entries text NOT NULL,
    PRIMARY KEY (xid, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE FUNCTION hotshelf.spill(touched text) RETURNS void LANGUAGE sql SECURITY DEFINER SET search_path = hotshelf, pg_temp AS $$
    INSERT INTO cache_touched (entries) VALUES (touched)
$$;

-- Notes an entry, NULL for none; true when it is the first. The list is kept short, because each entry is compared with it and copies it. A key that
-- contains the separator is no id that anybody could ask for, so it is left out.
CREATE FUNCTION hotshelf.touch(entry text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    touched text := current_setting('hotshelf.touched', true);
    ignored text;
BEGIN
    IF strpos(entry, E'\x1f') IS DISTINCT FROM 0 THEN
        RETURN false;
    END IF;
    IF touched <> '' THEN
        IF strpos(E'\x1f' || touched, E'\x1f' || entry || E'\x1f') = 0 THEN
            IF octet_length(touched) > 500 THEN
                PERFORM hotshelf.spill(touched);
                touched := E'*\x1f';
            END IF;
            ignored := set_config('hotshelf.touched', touched || entry || E'\x1f', true);
        END IF;
        RETURN false;
    END IF;
    ignored := set_config('hotshelf.touched', entry || E'\x1f', true);
    RETURN true;
END $$;

-- Notes the entries of a row before and after; true when one of them is the first. Each call is a condition of its own: in `touch(...) OR first` the
-- planner may leave the call out where it knows the variable.
CREATE FUNCTION hotshelf.touch_moved(before text, after text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    IF before <> after THEN
        IF hotshelf.touch(before) THEN
            PERFORM hotshelf.touch(after);
            RETURN true;
        END IF;
    END IF;
    RETURN hotshelf.touch(coalesce(after, before));
END $$;

-- Seals a transaction. Keys are sorted, so that two transactions lock them in one order; a version is taken while the row is locked, so that versions
-- of a key follow the order of its commits. Most transactions touch one key that has a version already; they have a way of their own.
CREATE FUNCTION hotshelf.seal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = hotshelf, pg_temp AS $$
DECLARE
    touched text := current_setting('hotshelf.touched', true);
    ignored text := set_config('hotshelf.touched', '', true);
    number smallint;
    name text;
    version bigint;
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        ignored := set_config('synchronous_commit', 'on', true);
    END IF;
    IF strpos(touched, E'\x1f') = length(touched) AND touched <> '' THEN
        number := left(touched, 5);
        name := substr(touched, 7, length(touched) - 7);
        UPDATE cache_version SET ver = server_timeline() << 40 | nextval('version_seq'), deleted = substr(touched, 6, 1) = '2'
        WHERE ns = number AND key = name RETURNING ver INTO version;
        IF FOUND THEN
            INSERT INTO cache_outbox (ns, key, ver, op) VALUES (number, name, version, CASE substr(touched, 6, 1) WHEN '2' THEN 2 ELSE 1 END);
            RETURN NULL;
        END IF;
    END IF;
    PERFORM hotshelf.seal_many(touched);
    RETURN NULL;
END $$;

-- Sequential scans are off because the plan is kept for the session, and one made while the table is empty would read every other transaction's rows
-- later; compilation is off because where an index does not serve after all, the penalty for the scan would set it going, at a hundred
-- milliseconds a transaction.
CREATE FUNCTION hotshelf.seal_many(touched text) RETURNS void LANGUAGE plpgsql SET enable_seqscan = off SET jit = off AS $$
BEGIN
    -- Each event was queued by the first entry of a list, so an event without one means that somebody has emptied the setting.
    IF touched IS NULL OR touched = '' THEN
        RAISE EXCEPTION 'the setting hotshelf.touched was reset between a write and the end of its transaction'
            USING HINT = 'leave RESET ALL out of transactions that write; this one would have been recorded incompletely';
    END IF;
    WITH spilled AS (
        DELETE FROM cache_touched WHERE left(touched, 1) = '*' AND xid = pg_current_xact_id() RETURNING id, entries
    ), keys AS (
        SELECT DISTINCT ON (1, 2) left(entry, 5)::smallint AS ns, substr(entry, 7) COLLATE "C" AS key, substr(entry, 6, 1) = '2' AS deleted
        FROM (SELECT id, entries FROM spilled UNION ALL SELECT NULL, touched) AS c
        CROSS JOIN LATERAL string_to_table(c.entries, E'\x1f') WITH ORDINALITY AS t (entry, place)
        WHERE entry NOT IN ('', '*')
        -- Where a key was touched more than once, the product's own triggers have the last word.
        ORDER BY 1, 2, substr(entry, 6, 1) = '0', c.id DESC NULLS FIRST, place DESC
    ), sealed AS (
        INSERT INTO cache_version AS c (ns, key, ver, deleted)
        SELECT k.ns, k.key, server_timeline() << 40 | nextval('version_seq'), k.deleted FROM keys AS k ORDER BY k.ns, k.key
        ON CONFLICT (ns, key) DO UPDATE SET ver = server_timeline() << 40 | nextval('version_seq'), deleted = EXCLUDED.deleted
        RETURNING c.ns, c.key, c.ver, c.deleted
    )
    INSERT INTO cache_outbox (ns, key, ver, op) SELECT ns, key, ver, CASE WHEN deleted THEN 2 ELSE 1 END FROM sealed;
END $$;
REVOKE EXECUTE ON FUNCTION hotshelf.seal_many(text) FROM PUBLIC;

-- What a changed row of a table touches; old is NULL for an insert, new for a delete. They take whole rows because a WHEN is read anew in every
-- statement, at a cost in proportion to its length. A foreign key's cascade evaluates it with the rights of the table's owner and the search path of
-- whoever deletes, so they have a path of their own, which the functions that they call inherit; it costs a microsecond a row.
CREATE FUNCTION hotshelf.product_changed(old hotshelf.product, new hotshelf.product) RETURNS boolean LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN new IS DISTINCT FROM old
        AND hotshelf.touch_moved(CASE WHEN old.id IS DISTINCT FROM new.id THEN '000012' || old.id END, '000011' || new.id);
END $$;

-- A change of a child row touches its product, old and new. It does not say whether the product still exists.
CREATE FUNCTION hotshelf.price_changed(old hotshelf.price, new hotshelf.price) RETURNS boolean LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN new IS DISTINCT FROM old AND hotshelf.touch_moved('000010' || old.product_id, '000010' || new.product_id);
END $$;

-- A product without a row here is out of stock, so a row of that class is no change when it comes or goes.
CREATE FUNCTION hotshelf.stock_changed(old hotshelf.stock, new hotshelf.stock) RETURNS boolean LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN (new.product_id, new.availability) IS DISTINCT FROM (old.product_id, old.availability)
        AND hotshelf.touch_moved(
            CASE WHEN old.availability <> 'out_of_stock' THEN '000010' || old.product_id END,
            CASE WHEN new.availability <> 'out_of_stock' THEN '000010' || new.product_id END
        );
END $$;

CREATE CONSTRAINT TRIGGER hotshelf_insert AFTER INSERT ON hotshelf.product DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.product_changed(NULL, NEW)) EXECUTE FUNCTION hotshelf.seal();
CREATE CONSTRAINT TRIGGER hotshelf_update AFTER UPDATE ON hotshelf.product DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.product_changed(OLD, NEW)) EXECUTE FUNCTION hotshelf.seal();
CREATE CONSTRAINT TRIGGER hotshelf_delete AFTER DELETE ON hotshelf.product DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.product_changed(OLD, NULL)) EXECUTE FUNCTION hotshelf.seal();

CREATE CONSTRAINT TRIGGER hotshelf_insert AFTER INSERT ON hotshelf.price DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.price_changed(NULL, NEW)) EXECUTE FUNCTION hotshelf.seal();
CREATE CONSTRAINT TRIGGER hotshelf_update AFTER UPDATE ON hotshelf.price DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.price_changed(OLD, NEW)) EXECUTE FUNCTION hotshelf.seal();
CREATE CONSTRAINT TRIGGER hotshelf_delete AFTER DELETE ON hotshelf.price DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.price_changed(OLD, NULL)) EXECUTE FUNCTION hotshelf.seal();

CREATE CONSTRAINT TRIGGER hotshelf_insert AFTER INSERT ON hotshelf.stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.stock_changed(NULL, NEW)) EXECUTE FUNCTION hotshelf.seal();
CREATE CONSTRAINT TRIGGER hotshelf_update AFTER UPDATE ON hotshelf.stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.stock_changed(OLD, NEW)) EXECUTE FUNCTION hotshelf.seal();
CREATE CONSTRAINT TRIGGER hotshelf_delete AFTER DELETE ON hotshelf.stock DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
    WHEN (hotshelf.stock_changed(OLD, NULL)) EXECUTE FUNCTION hotshelf.seal();

-- A trigger runs them without asking who may; with the right to make triggers of them, a role could record changes that it did not make.
REVOKE EXECUTE ON FUNCTION hotshelf.seal(), hotshelf.bump_trigger(), hotshelf.set_timeline_base() FROM PUBLIC;
