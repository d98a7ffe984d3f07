INSERT INTO cache_setting (name, version, text, at, who, why)
SELECT ?1, coalesce(max(version), 0) + 1, ?2, CAST(unixepoch('subsec') * 1000 AS INTEGER), ?3, ?4 FROM cache_setting WHERE name = ?1
HAVING ?5 IS NULL OR coalesce(max(version), 0) = ?5
RETURNING version
