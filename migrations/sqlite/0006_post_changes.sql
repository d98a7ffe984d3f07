-- Changes that no trigger can see, told by their author with a version of their own (an HTTP origin's number, which grows with each change of the
-- key): recorded if it is greater than the key's. Those without one go through cache_touch.
CREATE VIEW cache_given AS SELECT 0 AS ns, '' AS key, 0 AS ver WHERE false;
CREATE TRIGGER cache_given_insert INSTEAD OF INSERT ON cache_given
WHEN NOT EXISTS (SELECT 1 FROM cache_version WHERE ns = NEW.ns AND key = NEW.key AND ver >= NEW.ver)
BEGIN
    INSERT INTO cache_version (ns, key, ver, deleted) VALUES (NEW.ns, NEW.key, NEW.ver, 0)
        ON CONFLICT (ns, key) DO UPDATE SET ver = excluded.ver, deleted = 0;
    INSERT INTO cache_log (nonce, ns, key, ver, op, logged_at) VALUES (random(), NEW.ns, NEW.key, NEW.ver, 1, unixepoch());
END;
