-- Settings of the whole cluster, each change a row: the one with the greatest version holds, the others say who decided what before, and why.
CREATE TABLE cache_setting (
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    -- NULL: removed.
    text TEXT,
    -- Milliseconds since 1970.
    at INTEGER NOT NULL,
    who TEXT NOT NULL,
    why TEXT NOT NULL,
    PRIMARY KEY (name, version)
) WITHOUT ROWID;
