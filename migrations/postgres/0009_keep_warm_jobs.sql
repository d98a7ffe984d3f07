-- Warm-ups, as jobs of the whole cluster. Who runs one writes here how far it is, so that another goes on from there.
CREATE TABLE hotshelf.warm_job (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    namespace text COLLATE "C" NOT NULL,
    variants text[] NOT NULL,
    tiers text[] NOT NULL,
    -- None: all of them.
    nodes text[] NOT NULL,
    ids bigint NOT NULL,
    source text NOT NULL,
    state text NOT NULL DEFAULT 'running' CHECK (state IN ('running', 'paused', 'cancelled', 'done')),
    who text NOT NULL,
    created timestamptz NOT NULL DEFAULT now(),
    changed timestamptz NOT NULL DEFAULT now(),
    changed_by text NOT NULL
);
CREATE INDEX warm_job_open ON hotshelf.warm_job (id) WHERE state IN ('running', 'paused');

-- A job's ids in their order, a thousand in a row; `start` is the place of the first.
CREATE TABLE hotshelf.warm_ids (
    job bigint NOT NULL REFERENCES hotshelf.warm_job ON DELETE CASCADE,
    start bigint NOT NULL,
    ids text[] NOT NULL,
    PRIMARY KEY (job, start)
);

-- How far a job is: what the nodes share under the empty name, and what each does for itself.
CREATE TABLE hotshelf.warm_part (
    job bigint NOT NULL REFERENCES hotshelf.warm_job ON DELETE CASCADE,
    node text COLLATE "C" NOT NULL,
    cursor bigint NOT NULL,
    filled bigint NOT NULL,
    held bigint NOT NULL,
    absent bigint NOT NULL,
    failed bigint NOT NULL,
    fetched bigint NOT NULL,
    rate double precision NOT NULL,
    yielding boolean NOT NULL,
    trouble text NOT NULL,
    runner text NOT NULL,
    seen timestamptz NOT NULL,
    PRIMARY KEY (job, node)
) WITH (fillfactor = 50);
