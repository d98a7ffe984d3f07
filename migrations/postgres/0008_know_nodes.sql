-- The nodes, as each says every few seconds that it is there.
CREATE TABLE hotshelf.cache_node (
    name text COLLATE "C" NOT NULL,
    -- The URL of its admin listener.
    admin text COLLATE "C" NOT NULL,
    number bigint NOT NULL,
    version text NOT NULL,
    started timestamptz NOT NULL,
    seen timestamptz NOT NULL,
    PRIMARY KEY (name, admin)
) WITH (fillfactor = 50);
