-- How long the log reaches back.

-- A row's time in seconds since 1970, so that the log can be pruned by age. Rows that are there already count from now on.
ALTER TABLE cache_log ADD COLUMN logged_at INTEGER NOT NULL DEFAULT 0;
UPDATE cache_log SET logged_at = unixepoch();

DROP TRIGGER cache_touch_insert;
CREATE TRIGGER cache_touch_insert INSTEAD OF INSERT ON cache_touch BEGIN
    UPDATE version_seq SET value = value + 1;
    INSERT INTO cache_version (ns, key, ver, deleted) SELECT NEW.ns, NEW.key, value, NEW.deleted FROM version_seq WHERE true
        ON CONFLICT (ns, key) DO UPDATE SET ver = excluded.ver, deleted = excluded.deleted;
    INSERT INTO cache_log (nonce, ns, key, ver, op, logged_at)
        SELECT random(), NEW.ns, NEW.key, value, CASE WHEN NEW.deleted THEN 2 ELSE 1 END, unixepoch() FROM version_seq;
END;
DROP TRIGGER cache_bump_insert;
CREATE TRIGGER cache_bump_insert INSTEAD OF INSERT ON cache_bump BEGIN
    SELECT RAISE(ABORT, 'there is no such namespace') WHERE NOT EXISTS (SELECT 1 FROM cache_parent WHERE name = NEW.name);
    UPDATE version_seq SET value = value + 1;
    UPDATE cache_parent SET ver = (SELECT value FROM version_seq) WHERE name = NEW.name;
    INSERT INTO cache_log (nonce, ns, key, ver, op, logged_at) SELECT random(), id, '', ver, 3, unixepoch() FROM cache_parent WHERE name = NEW.name;
END;
