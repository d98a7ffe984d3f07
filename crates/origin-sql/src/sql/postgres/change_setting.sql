WITH head AS MATERIALIZED (
    SELECT coalesce(max(version), 0) AS version FROM hotshelf.cache_setting WHERE name = $1
), written AS (
    INSERT INTO hotshelf.cache_setting (name, version, text, who, why)
    SELECT $1, h.version + 1, $2, $3, $4 FROM head AS h WHERE $5::bigint IS NULL OR h.version = $5
    RETURNING version
)
SELECT hotshelf.commit_synchronously(), (SELECT version FROM written) AS written, (SELECT version FROM head) AS current
