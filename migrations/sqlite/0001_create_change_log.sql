-- The change log: versions, log, parents and history. SQLite has one writer, so the log's own id is the position, dense and in commit order, and
-- neither an outbox nor a sequencer is needed. The database must run with synchronous = FULL: NORMAL can give a position again after a power loss.

-- The version given out last; its upper bits are timeline 1 for ever, because SQLite knows no failover.
CREATE TABLE version_seq (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    value INTEGER NOT NULL
) STRICT;
INSERT INTO version_seq (one, value) VALUES (1, 1 << 40);

-- The version of every key that ever changed. It survives deletes, so that a key that comes back continues where it ended.
CREATE TABLE cache_version (
    ns INTEGER NOT NULL,
    key TEXT NOT NULL,
    ver INTEGER NOT NULL,
    deleted INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (ns, key)
) STRICT, WITHOUT ROWID;

-- The log, one record in a row. op: 1 upsert, 2 delete, 3 parent. The last row is the head and is never pruned.
CREATE TABLE cache_log (
    pos INTEGER PRIMARY KEY AUTOINCREMENT,
    nonce INTEGER NOT NULL,
    ns INTEGER NOT NULL,
    key TEXT NOT NULL,
    ver INTEGER NOT NULL,
    op INTEGER NOT NULL
) STRICT;

-- The namespaces, each with the version of its last bump.
CREATE TABLE cache_parent (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    ver INTEGER NOT NULL DEFAULT 0
) STRICT;
INSERT INTO cache_parent (id, name) VALUES (1, 'products');

-- Which history of the database this is: one row. Putting a copy of the file back begins another history:
-- UPDATE cache_hist SET uuid = lower(hex(randomblob(16))) before the first node connects.
CREATE TABLE cache_hist (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    uuid TEXT NOT NULL
) STRICT;
INSERT INTO cache_hist (one, uuid) VALUES (1, lower(hex(randomblob(16))));

-- What triggers write to: an insert takes a version for the key and records the change.
CREATE VIEW cache_touch AS SELECT 0 AS ns, '' AS key, 0 AS deleted WHERE false;
CREATE TRIGGER cache_touch_insert INSTEAD OF INSERT ON cache_touch BEGIN
    UPDATE version_seq SET value = value + 1;
    INSERT INTO cache_version (ns, key, ver, deleted) SELECT NEW.ns, NEW.key, value, NEW.deleted FROM version_seq WHERE true
        ON CONFLICT (ns, key) DO UPDATE SET ver = excluded.ver, deleted = excluded.deleted;
    INSERT INTO cache_log (nonce, ns, key, ver, op)
        SELECT random(), NEW.ns, NEW.key, value, CASE WHEN NEW.deleted THEN 2 ELSE 1 END FROM version_seq;
END;

-- INSERT INTO cache_bump (name) VALUES ('products') makes every copy of a namespace's documents dead.
CREATE VIEW cache_bump AS SELECT '' AS name WHERE false;
CREATE TRIGGER cache_bump_insert INSTEAD OF INSERT ON cache_bump BEGIN
    SELECT RAISE(ABORT, 'there is no such namespace') WHERE NOT EXISTS (SELECT 1 FROM cache_parent WHERE name = NEW.name);
    UPDATE version_seq SET value = value + 1;
    UPDATE cache_parent SET ver = (SELECT value FROM version_seq) WHERE name = NEW.name;
    INSERT INTO cache_log (nonce, ns, key, ver, op) SELECT random(), id, '', ver, 3 FROM cache_parent WHERE name = NEW.name;
END;
