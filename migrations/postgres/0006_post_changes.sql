-- Changes that no trigger can see, told by their author.

-- Records changes and bumps in this transaction; the three arrays of changes belong together. A change without a version gets one like any touched
-- key. One with a version (an HTTP origin's number, which grows with each change of the key) is recorded if it is greater than the key's. Gives the
-- versions in the order of the arguments.
CREATE FUNCTION hotshelf.post_changes(namespaces text[], keys text[], versions bigint[], bumps text[], OUT changed bigint[], OUT bumped bigint[])
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = hotshelf, pg_temp AS $$
BEGIN
    PERFORM commit_synchronously();
    PERFORM register_namespace(name)
    FROM (SELECT unnest(namespaces) UNION SELECT unnest(bumps)) AS n (name)
    WHERE NOT EXISTS (SELECT FROM cache_parent AS p WHERE p.name = n.name);
    -- Before the keys, as a transaction that truncates a table locks them, and in the order of their names, so that two calls lock them in one order.
    PERFORM bump(name) FROM (SELECT DISTINCT unnest(bumps) AS name ORDER BY name) AS b;
    WITH given AS (
        SELECT p.id AS ns, g.key, max(g.ver) AS ver
        FROM unnest(namespaces, keys, versions) AS g (name, key, ver) JOIN cache_parent AS p ON p.name = g.name
        WHERE g.ver IS NOT NULL GROUP BY p.id, g.key
    ), raised AS (
        INSERT INTO cache_version AS c (ns, key, ver)
        SELECT ns, key, ver FROM given ORDER BY ns, key COLLATE "C"
        ON CONFLICT (ns, key) DO UPDATE SET ver = EXCLUDED.ver, deleted = false WHERE c.ver < EXCLUDED.ver
        RETURNING c.ns, c.key, c.ver
    )
    INSERT INTO cache_outbox (ns, key, ver, op) SELECT ns, key, ver, 1 FROM raised;
    WITH given AS (
        SELECT DISTINCT p.id AS ns, g.key COLLATE "C" AS key
        FROM unnest(namespaces, keys, versions) AS g (name, key, ver) JOIN cache_parent AS p ON p.name = g.name
        WHERE g.ver IS NULL
    ), sealed AS (
        INSERT INTO cache_version AS c (ns, key, ver)
        SELECT ns, key, server_timeline() << 40 | nextval('version_seq') FROM given ORDER BY ns, key
        -- Taken again once the row is locked, so that versions of a key follow the order of its commits.
        ON CONFLICT (ns, key) DO UPDATE SET ver = server_timeline() << 40 | nextval('version_seq')
        RETURNING c.ns, c.key, c.ver
    )
    INSERT INTO cache_outbox (ns, key, ver, op) SELECT ns, key, ver, 1 FROM sealed;
    changed := ARRAY(
        SELECT coalesce(v.ver, 0)
        FROM unnest(namespaces, keys) WITH ORDINALITY AS g (name, key, ord)
        JOIN cache_parent AS p ON p.name = g.name
        LEFT JOIN cache_version AS v ON v.ns = p.id AND v.key = g.key
        ORDER BY g.ord
    );
    bumped := ARRAY(
        SELECT p.ver FROM unnest(bumps) WITH ORDINALITY AS b (name, ord) JOIN cache_parent AS p ON p.name = b.name ORDER BY b.ord
    );
END $$;
REVOKE EXECUTE ON FUNCTION hotshelf.post_changes(text[], text[], bigint[], text[]) FROM PUBLIC;
