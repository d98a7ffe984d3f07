-- The change log: versions, outbox, log, parents and history, and the functions that record into them.
--
-- A writer's transaction notes the keys that it touched; one deferred trigger per transaction seals them: it takes their versions and writes the
-- outbox. A sequencer (any node) gives outbox rows a dense, ordered position in the log. The schema exists already: the migrator creates it.

CREATE SEQUENCE hotshelf.version_seq AS bigint MAXVALUE 1099511627775;

-- The version of every key that ever changed. It survives deletes, so that a key that comes back continues where it ended.
CREATE TABLE hotshelf.cache_version (
    ns smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    ver bigint NOT NULL,
    deleted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (ns, key)
);

-- What has committed and has no position yet. op: 1 upsert, 2 delete, 3 parent. An unordered queue that is emptied many times a second, so it is
-- vacuumed by count and not by share.
CREATE TABLE hotshelf.cache_outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    ns smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    ver bigint NOT NULL,
    op smallint NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The log: dense and immutable, up to 512 records in a row. op 4 opens a new timeline. The last row is the head and is never pruned.
CREATE TABLE hotshelf.cache_log (
    pos bigint PRIMARY KEY,
    tl integer NOT NULL,
    nonce bigint NOT NULL,
    ns smallint[] NOT NULL,
    key text[] NOT NULL,
    ver bigint[] NOT NULL,
    op smallint[] NOT NULL
);
INSERT INTO hotshelf.cache_log (pos, tl, nonce, ns, key, ver, op) VALUES (0, 1, 0, '{}', '{}', '{}', '{}');

-- The namespaces, each with the version of its last bump.
CREATE TABLE hotshelf.cache_parent (
    id smallint PRIMARY KEY CHECK (id > 0),
    name text COLLATE "C" NOT NULL UNIQUE,
    ver bigint NOT NULL DEFAULT 0
);
INSERT INTO hotshelf.cache_parent (id, name) VALUES (1, 'products');

-- Which history of the database this is: one row. To be renewed by every restore, see hotshelf.renew_hist(). A cluster that was copied by pg_upgrade,
-- a dump or logical replication counts its timelines from 1 again; timeline_base keeps versions growing across that.
CREATE TABLE hotshelf.cache_hist (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    uuid uuid NOT NULL DEFAULT gen_random_uuid(),
    timeline_base bigint NOT NULL DEFAULT 0
);
INSERT INTO hotshelf.cache_hist DEFAULT VALUES;

-- The keys that a transaction under way has touched, and the marker whose deferred trigger fires once per transaction. Unlogged: no row outlives its
-- transaction, and PREPARE TRANSACTION fires deferred triggers first, so a crash has nothing to lose here.
CREATE UNLOGGED TABLE hotshelf.cache_touched (
    xid xid8 NOT NULL DEFAULT pg_current_xact_id(),
    ns smallint NOT NULL,
    key text COLLATE "C" NOT NULL,
    deleted boolean NOT NULL,
    PRIMARY KEY (xid, ns, key)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE UNLOGGED TABLE hotshelf.cache_sealing (
    xid xid8 PRIMARY KEY DEFAULT pg_current_xact_id()
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- The server's own timeline, read from its WAL: the log's lags after a failover until the sequencer has written the row that opens the new one.
-- Fails on a standby.
CREATE FUNCTION hotshelf.wal_timeline() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT ('x' || substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8))::bit(32)::bigint
$$;
CREATE FUNCTION hotshelf.server_timeline() RETURNS bigint LANGUAGE sql VOLATILE AS $$
    SELECT hotshelf.wal_timeline() + timeline_base FROM hotshelf.cache_hist WHERE one
$$;

-- The identifier of the database cluster, part of the history: a dump that is loaded elsewhere is another history though its uuid is the same.
-- Where the owner may not ask for it, the uuid has to do.
DO $$
BEGIN
    IF has_function_privilege('pg_catalog.pg_control_system()', 'execute') THEN
        CREATE FUNCTION hotshelf.system_identifier() RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS
            'SELECT system_identifier FROM pg_control_system()';
    ELSE
        CREATE FUNCTION hotshelf.system_identifier() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';
    END IF;
END $$;

-- A commit whose record is lost by an asynchronous commit could not be told from one that never was, so a recorded commit is at least synchronous.
CREATE FUNCTION hotshelf.commit_synchronously() RETURNS void LANGUAGE sql VOLATILE AS $$
    SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') IN ('off', 'local', 'remote_write')
$$;

-- Seals a transaction. Keys are sorted, so that two transactions lock them in one order; a version is taken in the upsert, after the row is locked,
-- so that versions of a key follow the order of its commits. Sequential scans are off because the plan is kept for the session, and one made while
-- the table is empty would read every other transaction's rows later; compilation is off because where an index does not serve after all, the
-- penalty for the scan would set it going, at a hundred milliseconds a transaction.
CREATE FUNCTION hotshelf.seal() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = hotshelf, pg_temp SET enable_seqscan = off SET jit = off AS $$
DECLARE
    me xid8 := pg_current_xact_id();
    timeline bigint;
BEGIN
    IF current_setting('synchronous_commit') IN ('off', 'local', 'remote_write') THEN
        PERFORM set_config('synchronous_commit', 'on', true);
    END IF;
    SELECT wal_timeline() + timeline_base INTO timeline FROM cache_hist WHERE one;
    WITH touched AS (
        DELETE FROM cache_touched WHERE xid = me RETURNING ns, key, deleted
    ), sealed AS (
        INSERT INTO cache_version AS c (ns, key, ver, deleted)
        SELECT ns, key, timeline << 40 | nextval('version_seq'), deleted FROM touched ORDER BY ns, key
        ON CONFLICT (ns, key) DO UPDATE SET ver = timeline << 40 | nextval('version_seq'), deleted = EXCLUDED.deleted
        RETURNING c.ns, c.key, c.ver, c.deleted
    )
    INSERT INTO cache_outbox (ns, key, ver, op)
    SELECT ns, key, ver, CASE WHEN deleted THEN 2 ELSE 1 END FROM sealed;
    DELETE FROM cache_sealing WHERE xid = me;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER seal AFTER INSERT ON hotshelf.cache_sealing
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION hotshelf.seal();

-- Makes every copy of a namespace's documents dead, and returns the bump's version.
CREATE FUNCTION hotshelf.bump(namespace text) RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = hotshelf, pg_temp AS $$
DECLARE
    parent record;
BEGIN
    PERFORM hotshelf.commit_synchronously();
    UPDATE cache_parent SET ver = hotshelf.server_timeline() << 40 | nextval('version_seq') WHERE name = namespace RETURNING id, ver INTO parent;
    IF parent IS NULL THEN
        RAISE EXCEPTION 'there is no namespace %', namespace USING HINT = 'register it with hotshelf.register_namespace';
    END IF;
    INSERT INTO cache_outbox (ns, key, ver, op) VALUES (parent.id, '', parent.ver, 3);
    RETURN parent.ver;
END $$;
CREATE FUNCTION hotshelf.bump_trigger() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = hotshelf, pg_temp AS $$
BEGIN
    PERFORM hotshelf.bump(TG_ARGV[0]);
    RETURN NULL;
END $$;

-- Gives a namespace its number; one that is known keeps its own.
CREATE FUNCTION hotshelf.register_namespace(namespace text) RETURNS smallint LANGUAGE plpgsql SECURITY DEFINER SET search_path = hotshelf, pg_temp AS $$
BEGIN
    LOCK TABLE cache_parent IN SHARE ROW EXCLUSIVE MODE;
    INSERT INTO cache_parent (id, name) SELECT max(id) + 1, namespace FROM cache_parent ON CONFLICT (name) DO NOTHING;
    RETURN (SELECT id FROM cache_parent WHERE name = namespace);
END $$;

-- Begins another history, on a timeline above every one in the log: part of every restore, blue/green switch and copy of a database, before the
-- first node connects.
CREATE FUNCTION hotshelf.renew_hist() RETURNS uuid LANGUAGE sql SECURITY DEFINER SET search_path = hotshelf, pg_temp AS $$
    UPDATE cache_hist SET uuid = gen_random_uuid(),
        timeline_base = greatest(timeline_base, (SELECT tl FROM cache_log ORDER BY pos DESC LIMIT 1) + 1 - hotshelf.wal_timeline())
    RETURNING uuid
$$;

REVOKE EXECUTE ON FUNCTION hotshelf.bump(text), hotshelf.register_namespace(text), hotshelf.renew_hist() FROM PUBLIC;

-- A document's exact bytes, whatever type a namespace's query gives it.
CREATE FUNCTION hotshelf.document_bytes(document bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT document $$;
CREATE FUNCTION hotshelf.document_bytes(document text) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT convert_to(document, 'UTF8') $$;
CREATE FUNCTION hotshelf.document_bytes(document json) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT convert_to(document::text, 'UTF8') $$;
CREATE FUNCTION hotshelf.document_bytes(document jsonb) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT convert_to(document::text, 'UTF8') $$;

-- A moment as milliseconds since 1970, whatever type a namespace's query gives it; rounded down, so that nothing is fresh past its moment.
CREATE FUNCTION hotshelf.epoch_ms(moment bigint) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$ SELECT moment $$;
CREATE FUNCTION hotshelf.epoch_ms(moment timestamptz) RETURNS bigint LANGUAGE sql IMMUTABLE AS $$
    SELECT floor(extract(epoch FROM moment) * 1000)::bigint
$$;
