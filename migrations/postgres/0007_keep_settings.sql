-- Settings of the whole cluster, each change a row: the one with the greatest version holds, the others say who decided what before, and why.
CREATE TABLE hotshelf.cache_setting (
    name text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    -- NULL: removed.
    text text,
    at timestamptz NOT NULL DEFAULT now(),
    who text NOT NULL,
    why text NOT NULL,
    PRIMARY KEY (name, version)
);
