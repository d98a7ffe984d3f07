WITH hotshelf_state AS MATERIALIZED (
{state})
SELECT s.uuid, s.pos, s.now_ms, 0 AS parent_ver, (SELECT value FROM version_seq) AS version FROM hotshelf_state AS s
